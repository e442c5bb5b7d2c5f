<#
.SYNOPSIS
Installs picresize in containers, with three Kafka brokers, Control Center, MySQL and Adminer.

.DESCRIPTION
Checks Docker, writes passwords and names into .env, starts everything with compose.yaml, and waits
until it is healthy. Docker needs 6 GB of memory. Runs in Windows PowerShell 5.1 and in PowerShell 7
on Windows, Linux and macOS; install.sh does the same without PowerShell.

.PARAMETER Unattended
Asks nothing: generates passwords, or keeps an existing .env.

.PARAMETER Workers
The number of workers to run: 1 to 64.

.PARAMETER Timeout
The longest time, in seconds, to wait until everything is healthy.

.PARAMETER Uninstall
Removes the containers. Asks whether to remove the data (unattended: keeps it).

.PARAMETER RemoveData
With -Uninstall: removes the data and .env too, without asking.

.PARAMETER Help
Shows this help.

.EXAMPLE
.\install.ps1

.EXAMPLE
.\install.ps1 -Unattended -Workers 4

.EXAMPLE
powershell -ExecutionPolicy Bypass -File .\install.ps1

If Windows does not allow scripts to run.

.EXAMPLE
.\install.ps1 -Uninstall -RemoveData
#>
[CmdletBinding()]
param(
    [switch]$Unattended,
    [int]$Workers = 1,
    [int]$Timeout = 900,
    [switch]$Uninstall,
    [switch]$RemoveData,
    [switch]$Help
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Project = 'picresize'
$Image = 'picresize:0.1.0'
# Docker Desktop set to 6 GB reports a little less.
$LeastMemory = 5800000000
$EnvFile = Join-Path $PSScriptRoot '.env'
$WorkersGiven = $PSBoundParameters.ContainsKey('Workers')

function Install-Picresize {
    Assert-Options
    $memory = Get-DockerMemory
    Assert-Compose
    if ($Uninstall) {
        Remove-Picresize
        return
    }
    Assert-Memory $memory
    Initialize-Settings
    Start-Services
    Wait-Healthy
    Show-Addresses
}

function Assert-Options {
    if ($Workers -lt 1 -or $Workers -gt 64) {
        Stop-Install "-Workers '$Workers' is not a number from 1 to 64."
    }
    if ($Timeout -lt 1 -or $Timeout -gt 86400) {
        Stop-Install "-Timeout '$Timeout' is not a number of seconds from 1 to 86400."
    }
    if ($RemoveData -and -not $Uninstall) {
        Stop-Install '-RemoveData needs -Uninstall.'
    }
}

function Get-DockerMemory {
    if (-not (Get-Command docker -ErrorAction SilentlyContinue)) {
        Stop-Install ('Docker is not installed: install Docker Desktop, or Docker Engine with ' +
            'its Compose plugin (see https://docs.docker.com/get-docker), and run this again.')
    }
    $answer = Invoke-Docker @('info', '--format', '{{.MemTotal}}')
    if (-not $answer.Ok -or $answer.Text -notmatch '^[0-9]+$') {
        Stop-Install ('Docker does not answer: start Docker Desktop (or the service: sudo ' +
            "systemctl start docker), make sure that 'docker info' works for this user, and run " +
            'this again.')
    }
    [long]$answer.Text
}

function Assert-Compose {
    $answer = Invoke-Docker @('compose', 'version', '--short')
    if (-not $answer.Ok) {
        Stop-Install ('Docker has no Compose plugin: install it (package docker-compose-plugin, ' +
            "docker-compose-v2 or docker-compose) and check that 'docker compose version' works.")
    }
    $version = $answer.Text -replace '^v', ''
    $known = $version -match '^([0-9]+)\.([0-9]+)'
    if (-not $known -or [version]$Matches[0] -lt [version]'2.24') {
        Stop-Install ("Docker Compose is $version, but 2.24 or newer is needed: update Docker " +
            'Desktop or the Compose plugin, and run this again.')
    }
}

function Assert-Memory([long]$Memory) {
    if ($Memory -lt $LeastMemory) {
        $megabytes = [math]::Floor($Memory / 1000000)
        Stop-Install ("Docker has $megabytes MB of memory, but picresize needs 6000: give it " +
            'more in Docker Desktop (Settings, Resources; with WSL 2: memory=6GB below [wsl2] in ' +
            '.wslconfig in your user folder, then wsl --shutdown) or use a larger machine, and ' +
            'run this again.')
    }
}

# Makes sure that there is an .env: the existing one, or a new one.
function Initialize-Settings {
    if (Test-Path -LiteralPath $EnvFile) {
        $question = '.env exists already. Keep its passwords and names?'
        if ($Unattended -or (Confirm-Answer $question $true)) {
            Write-Host 'Keeping .env.'
            if ($WorkersGiven) {
                Set-Workers
            }
            return
        }
        if (Test-Data) {
            Stop-Install ('The data of picresize can only be opened with the passwords in .env: ' +
                "keep .env, or remove the data with '.\install.ps1 -Uninstall' first.")
        }
    } elseif (Test-Data) {
        Stop-Install ("There is data from an earlier installation (the volume ${Project}_mysql), " +
            'but no .env with its passwords: put that .env back, or remove the data with ' +
            "'.\install.ps1 -Uninstall -RemoveData'.")
    }
    $settings = New-Settings
    $question = 'Use generated passwords and the default names?'
    if (-not $Unattended -and -not (Confirm-Answer $question $true)) {
        Read-Settings $settings
    }
    Write-Settings $settings
    Write-Host 'Wrote the passwords and names into .env.'
}

function Test-Data {
    (Invoke-Docker @('volume', 'inspect', "${Project}_mysql")).Ok
}

# Every key of .env with its value, in the order of the file.
function New-Settings {
    [ordered]@{
        PICRESIZE_PORT = '8000'
        PICRESIZE_ADMINER_PORT = '8080'
        PICRESIZE_CONTROL_CENTER_PORT = '9021'
        PICRESIZE_WORKERS = "$Workers"
        PICRESIZE_WORKER_GROUP = 'picresize-workers'
        PICRESIZE_REQUESTS_TOPIC = 'picresize.requests'
        PICRESIZE_EVENTS_TOPIC = 'picresize.events'
        PICRESIZE_DEAD_LETTERS_TOPIC = 'picresize.dead-letters'
        # 16 random bytes in URL-safe base64. The last, 22nd character has only two bits: A, Q, g
        # or w.
        PICRESIZE_KAFKA_CLUSTER_ID = (New-RandomText 21) + 'Q'
        PICRESIZE_MYSQL_DATABASE = 'picresize'
        PICRESIZE_MYSQL_USER = 'picresize'
        PICRESIZE_MYSQL_PASSWORD = New-RandomText 32
        PICRESIZE_MYSQL_MIGRATION_USER = 'picresize_migration'
        PICRESIZE_MYSQL_MIGRATION_PASSWORD = New-RandomText 32
        PICRESIZE_MYSQL_ROOT_PASSWORD = New-RandomText 32
        PICRESIZE_ACCESS_MODE = 'open'
        PICRESIZE_ACCESS_KEYS = ''
        PICRESIZE_ACCESS_SECRETS = New-RandomText 43
        PICRESIZE_ACCESS_ALLOWED_HOSTS = 'localhost'
    }
}

function New-RandomText([int]$Length) {
    $alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
    $generator = [System.Security.Cryptography.RandomNumberGenerator]::Create()
    $text = New-Object System.Text.StringBuilder
    $byte = New-Object byte[] 1
    while ($text.Length -lt $Length) {
        $generator.GetBytes($byte)
        # 248 is 4 times 62. Larger bytes would make some characters more frequent than others.
        if ($byte[0] -lt 248) {
            [void]$text.Append($alphabet[$byte[0] % 62])
        }
    }
    $generator.Dispose()
    $text.ToString()
}

function Read-Settings($Settings) {
    Write-Host 'Press Enter to use the value in brackets.'
    foreach ($port in @(
            @('PICRESIZE_PORT', 'Port of the page'),
            @('PICRESIZE_ADMINER_PORT', 'Port of Adminer'),
            @('PICRESIZE_CONTROL_CENTER_PORT', 'Port of Control Center'))) {
        Read-Setting $Settings $port[0] $port[1] { param($it) Get-PortFault $it }
    }
    Read-Setting $Settings 'PICRESIZE_MYSQL_USER' 'MySQL user of the service' {
        param($it) Get-UserFault $it
    }
    Read-Secret $Settings 'PICRESIZE_MYSQL_PASSWORD' "Password of $($Settings.PICRESIZE_MYSQL_USER)"
    Read-Setting $Settings 'PICRESIZE_MYSQL_MIGRATION_USER' 'MySQL user of migrations' {
        param($it)
        if ($it -ceq $Settings.PICRESIZE_MYSQL_USER) {
            "'$it' is the user of the service: choose another name."
        } else {
            Get-UserFault $it
        }
    }
    Read-Secret $Settings 'PICRESIZE_MYSQL_MIGRATION_PASSWORD' `
        "Password of $($Settings.PICRESIZE_MYSQL_MIGRATION_USER)"
    Read-Secret $Settings 'PICRESIZE_MYSQL_ROOT_PASSWORD' "Password of MySQL's root"
    $taken = @()
    foreach ($topic in @(
            @('PICRESIZE_REQUESTS_TOPIC', 'Topic of requests'),
            @('PICRESIZE_EVENTS_TOPIC', 'Topic of events'),
            @('PICRESIZE_DEAD_LETTERS_TOPIC', 'Topic of dead letters'))) {
        Read-Setting $Settings $topic[0] $topic[1] {
            param($it)
            if ($taken -ccontains $it) {
                "'$it' is already used for a topic: choose another name."
            } else {
                Get-NameFault $it
            }
        }
        $taken += $Settings[$topic[0]]
    }
    Read-Setting $Settings 'PICRESIZE_WORKER_GROUP' 'Consumer group of the workers' {
        param($it) Get-NameFault $it
    }
}

# Asks until the check finds no fault.
function Read-Setting($Settings, [string]$Key, [string]$Question, [scriptblock]$FindFault) {
    while ($true) {
        $answer = Read-Host "$Question [$($Settings[$Key])]"
        if (-not $answer) {
            $answer = $Settings[$Key]
        }
        $fault = & $FindFault $answer
        if (-not $fault) {
            $Settings[$Key] = $answer
            return
        }
        Write-Host $fault
    }
}

# Like Read-Setting, but does not show what is typed.
function Read-Secret($Settings, [string]$Key, [string]$Question) {
    while ($true) {
        $hidden = Read-Host "$Question [generated]" -AsSecureString
        $answer = (New-Object System.Net.NetworkCredential('', $hidden)).Password
        if (-not $answer) {
            return
        }
        $fault = Get-SecretFault $answer
        if (-not $fault) {
            $Settings[$Key] = $answer
            return
        }
        Write-Host $fault
    }
}

function Get-PortFault([string]$Port) {
    if ($Port -notmatch '^[0-9]{1,5}$' -or [int]$Port -lt 1 -or [int]$Port -gt 65535) {
        "'$Port' is not a port: give a number from 1 to 65535."
    }
}

function Get-UserFault([string]$User) {
    if ($User -eq 'root') {
        "'root' is reserved by MySQL: choose another name."
    } elseif ($User -notmatch '^[A-Za-z][A-Za-z0-9_]{0,31}$') {
        "'$User' is not a user name: use a letter, then letters, digits and _, at most 32."
    }
}

# Never shows the password, not even a refused one.
function Get-SecretFault([string]$Secret) {
    if ($Secret -notmatch '^[A-Za-z0-9_.~+=@%:,/-]+$') {
        'The password may only contain letters, digits and _.~+=@%:,/-'
    } elseif ($Secret -notmatch '[A-Za-z]') {
        'The password needs a letter.'
    } elseif ($Secret.Length -lt 12) {
        "The password has $($Secret.Length) characters: at least 12 are needed."
    }
}

# Checks the name of a topic or a group.
function Get-NameFault([string]$Name) {
    if ($Name -notmatch '^[A-Za-z][A-Za-z0-9._-]{0,199}$') {
        "'$Name' is not a name: use a letter, then letters, digits and . _ -, at most 200."
    }
}

function Write-Settings($Settings) {
    $lines = @('# The names and passwords for compose.yaml. Keep this file: without it the data ' +
        'cannot be opened.')
    foreach ($key in $Settings.Keys) {
        $lines += "$key=$($Settings[$key])"
    }
    Write-EnvFile $lines
}

function Set-Workers {
    $kept = @(Get-Content -LiteralPath $EnvFile |
            Where-Object { $_ -notmatch '^PICRESIZE_WORKERS=' })
    Write-EnvFile ($kept + "PICRESIZE_WORKERS=$Workers")
}

# Writes UTF-8 without a byte order mark, with LF line ends, readable by the owner only.
function Write-EnvFile([string[]]$Lines) {
    $new = "$EnvFile.new"
    [System.IO.File]::WriteAllText($new, '')
    if ([System.Environment]::OSVersion.Platform -ne 'Win32NT') {
        & chmod 600 $new
    }
    $text = ($Lines -join "`n") + "`n"
    [System.IO.File]::WriteAllText($new, $text, (New-Object System.Text.UTF8Encoding $false))
    Move-Item -LiteralPath $new -Destination $EnvFile -Force
}

function Start-Services {
    Write-Host 'Building and starting (this takes some minutes the first time) ...'
    Show-Docker @('compose', '--project-name', $Project, 'up', '--detach', '--build',
        '--remove-orphans')
    if ($LASTEXITCODE -ne 0) {
        Stop-Install ('Not everything could be started: see the messages above and ' +
            "'docker compose logs SERVICE'. If a port is already in use, change it in .env. " +
            'Then run this again.')
    }
}

function Wait-Healthy {
    $clock = [System.Diagnostics.Stopwatch]::StartNew()
    $shown = ''
    while ($true) {
        $state = Get-ServiceState
        $waited = [int]$clock.Elapsed.TotalSeconds
        if ($state.Failed) {
            $failed = $state.Failed
            Stop-Install "$failed failed: 'docker compose logs $failed' shows why."
        }
        $waiting = $state.Waiting -join ', '
        if (-not $waiting) {
            break
        }
        if ($waited -ge $Timeout) {
            Stop-Install ("Not healthy after $Timeout seconds: $waiting. 'docker compose logs " +
                "SERVICE' shows why. Use -Timeout to wait longer.")
        }
        $progress = "$($state.Ready) of $($state.All) healthy, waiting for $waiting"
        Write-Progress -Activity 'Starting picresize' -Status "$waited s: $progress"
        if ($progress -ne $shown) {
            Write-Host ('{0,4} s: {1}' -f $waited, $progress)
            $shown = $progress
        }
        Start-Sleep -Seconds 2
    }
    Write-Progress -Activity 'Starting picresize' -Completed
    Write-Host ('{0,4} s: {1} of {1} healthy' -f $waited, $state.All)
}

# Counts the containers: `migrate` must have succeeded, all others must be healthy.
function Get-ServiceState {
    $state = @{ All = 0; Ready = 0; Waiting = @(); Failed = '' }
    foreach ($line in @(Get-ContainerLine)) {
        $state.All++
        $service, $status, $code, $health = $line -split ' '
        if ("$line" -match '^migrate exited 0 ' -or "$status $health" -eq 'running healthy') {
            $state.Ready++
        } elseif ("$service $status" -eq 'migrate exited') {
            $state.Failed = $service
        } else {
            $state.Waiting += $service
        }
    }
    $state
}

# Returns a line for each container: its service, status, exit code and health.
function Get-ContainerLine {
    $containers = Invoke-Docker @('compose', '--project-name', $Project, 'ps', '--all', '--quiet')
    # No double quotes here: Windows PowerShell would drop them on the way to docker.
    $format = '{{index .Config.Labels `com.docker.compose.service`}} {{.State.Status}} ' +
        '{{.State.ExitCode}} {{if .State.Health}}{{.State.Health.Status}}{{end}}'
    $states = Invoke-Docker (@('inspect', '--format', $format) + $containers.Lines)
    if ($containers.Ok -and $states.Ok) {
        $states.Lines
    } else {
        'everything unknown'
    }
}

function Show-Addresses {
    Write-Host ''
    Write-Host 'picresize is ready.'
    Write-Host "  The page        http://127.0.0.1:$(Get-FirstPort 'PORT' '8000')"
    Write-Host "  Adminer         http://127.0.0.1:$(Get-FirstPort 'ADMINER_PORT' '8080')"
    Write-Host "  Control Center  http://127.0.0.1:$(Get-FirstPort 'CONTROL_CENTER_PORT' '9021')"
    Write-Host 'Log in to Adminer with PICRESIZE_MYSQL_USER and PICRESIZE_MYSQL_PASSWORD from .env.'
    Write-Host "'docker compose stop' stops everything, '.\install.ps1 -Uninstall' removes it."
}

# Returns the port in .env, or the first port of a range.
function Get-FirstPort([string]$Key, [string]$Default) {
    foreach ($line in Get-Content -LiteralPath $EnvFile) {
        if ($line -match "^PICRESIZE_$Key=([0-9]+)") {
            return $Matches[1]
        }
    }
    $Default
}

function Remove-Picresize {
    $withData = [bool]$RemoveData
    if (-not $withData -and -not $Unattended) {
        $withData = Confirm-Answer ('Remove the data too: pictures, results, the log, and .env ' +
            'with its passwords?') $false
    }
    $arguments = @('compose', '--project-name', $Project, 'down', '--remove-orphans')
    if ($withData) {
        $arguments += '--volumes'
    }
    # In a folder without compose.yaml, Compose finds the containers by label and needs no .env.
    $empty = Join-Path ([System.IO.Path]::GetTempPath()) ([System.IO.Path]::GetRandomFileName())
    [void](New-Item -ItemType Directory -Path $empty)
    Push-Location -LiteralPath $empty
    Show-Docker $arguments
    $removed = $LASTEXITCODE -eq 0
    Pop-Location
    Remove-Item -LiteralPath $empty
    if (-not $removed) {
        Stop-Install ('Not everything could be removed: fix what the messages above say, and run ' +
            'this again.')
    }
    [void](Invoke-Docker @('image', 'rm', $Image))
    if ($withData) {
        if (Test-Path -LiteralPath $EnvFile) {
            Remove-Item -LiteralPath $EnvFile
        }
        Write-Host 'Removed picresize and its data.'
    } else {
        Write-Host 'Removed picresize. Its data and .env are kept: .\install.ps1 starts it again.'
    }
}

function Confirm-Answer([string]$Question, [bool]$Default) {
    $choices = '[y/N]'
    if ($Default) {
        $choices = '[Y/n]'
    }
    $answer = Read-Host "$Question $choices"
    if (-not $answer) {
        return $Default
    }
    $answer -match '^[yY]'
}

# Runs docker and returns its standard output.
function Invoke-Docker([string[]]$Arguments) {
    # Windows PowerShell turns each line that a program writes to standard error into an error.
    $ErrorActionPreference = 'Continue'
    $lines = @(& docker @Arguments 2>$null)
    @{ Ok = ($LASTEXITCODE -eq 0); Lines = $lines; Text = ($lines -join "`n").Trim() }
}

# Runs docker and shows its output.
function Show-Docker([string[]]$Arguments) {
    $ErrorActionPreference = 'Continue'
    & docker @Arguments | Out-Host
}

function Stop-Install([string]$Sentence) {
    [Console]::Error.WriteLine($Sentence)
    exit 1
}

if ($Help) {
    Get-Help $PSCommandPath -Detailed
    exit 0
}
Push-Location -LiteralPath $PSScriptRoot
try {
    Install-Picresize
} finally {
    Pop-Location
}
