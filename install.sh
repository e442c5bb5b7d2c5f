#!/bin/sh
# Installs picresize in containers, with Kafka and MySQL: checks Docker, writes passwords and names
# into .env, starts everything with compose.yaml and waits until it is healthy. install.ps1 does the
# same on Windows. install.sh --help lists the options.
set -eu

project=picresize
image=picresize:0.1.0
# Docker Desktop set to 6 GB reports a little less.
least_memory=5800000000

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
unattended=false
uninstall=false
remove_data=false
workers=''
timeout=900

main() {
    read_options "$@"
    cd -- "$root"
    # Turn the terminal's echo on again, however this script ends.
    trap '[ ! -t 0 ] || stty echo' EXIT
    trap 'exit 130' INT TERM
    check_docker
    check_compose
    if $uninstall; then
        remove
        return
    fi
    check_memory
    prepare_settings
    start
    wait_until_healthy
    print_addresses
}

usage() {
    cat <<'END'
Usage: ./install.sh [OPTION]...

Installs picresize in containers, with three Kafka brokers, Control Center, MySQL and Adminer, and
waits until everything is healthy. Docker needs 6 GB of memory.

  --unattended     ask nothing: generate passwords, or keep an existing .env
  --workers N      run N workers (1 to 64)
  --timeout S      wait at most S seconds until everything is healthy (default: 900)
  --uninstall      remove the containers; asks whether to remove the data (unattended: keeps it)
  --remove-data    with --uninstall: remove the data and .env too, without asking
  --help           show this

Examples:
  ./install.sh
  ./install.sh --unattended --workers 4
  ./install.sh --uninstall --remove-data
END
}

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --unattended) unattended=true ;;
        --uninstall) uninstall=true ;;
        --remove-data) remove_data=true ;;
        --workers)
            workers=${2:-}
            is_between "$workers" 1 64 || fail "--workers '$workers' is not a number from 1 to 64."
            shift
            ;;
        --timeout)
            timeout=${2:-}
            is_between "$timeout" 1 86400 ||
                fail "--timeout '$timeout' is not a number of seconds from 1 to 86400."
            shift
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) fail "Unknown option '$1': ./install.sh --help lists the options." ;;
        esac
        shift
    done
    if $remove_data && ! $uninstall; then
        fail "--remove-data needs --uninstall."
    fi
}

check_docker() {
    has docker || fail "Docker is not installed: install Docker Desktop, or Docker Engine with" \
        "its Compose plugin (see https://docs.docker.com/get-docker), and run this again."
    memory=$(docker info --format '{{.MemTotal}}' 2>/dev/null) || memory=''
    is_number "$memory" ||
        fail "Docker does not answer: start Docker Desktop (or the service: sudo systemctl start" \
            "docker), make sure that 'docker info' works for this user, and run this again."
}

check_compose() {
    version=$(docker compose version --short 2>/dev/null) || fail \
        "Docker has no Compose plugin: install it (package docker-compose-plugin," \
        "docker-compose-v2 or docker-compose) and check that 'docker compose version' works."
    version=${version#v}
    major=${version%%.*}
    minor=${version#*.}
    minor=${minor%%.*}
    if ! is_number "$major" || ! is_number "$minor" || [ "$major" -lt 2 ] ||
        { [ "$major" -eq 2 ] && [ "$minor" -lt 24 ]; }; then
        fail "Docker Compose is $version, but 2.24 or newer is needed: update Docker Desktop" \
            "or the Compose plugin, and run this again."
    fi
}

check_memory() {
    [ "$memory" -lt "$least_memory" ] || return 0
    fail "Docker has $((memory / 1000000)) MB of memory, but picresize needs 6000: give it more" \
        "in Docker Desktop (Settings, Resources) or use a larger machine, and run this again."
}

# Makes sure that there is an .env: the existing one, or a new one.
prepare_settings() {
    if [ -e .env ]; then
        if $unattended || agrees ".env exists already. Keep its passwords and names?" yes; then
            say "Keeping .env."
            [ -z "$workers" ] || change_workers
            return
        fi
        ! has_data || fail "The data of picresize can only be opened with the passwords in .env:" \
            "keep .env, or remove the data with './install.sh --uninstall' first."
    elif has_data; then
        fail "There is data from an earlier installation (the volume ${project}_mysql), but no" \
            ".env with its passwords: put that .env back, or remove the data with" \
            "'./install.sh --uninstall --remove-data'."
    fi
    generate_settings
    if ! $unattended && ! agrees "Use generated passwords and the default names?" yes; then
        ask_settings
    fi
    write_settings
    say "Wrote the passwords and names into .env."
}

has_data() {
    docker volume inspect "${project}_mysql" >/dev/null 2>&1
}

generate_settings() {
    port=8000
    adminer_port=8080
    control_center_port=9021
    group=picresize-workers
    requests_topic=picresize.requests
    events_topic=picresize.events
    dead_letters_topic=picresize.dead-letters
    user=picresize
    password=$(random_text 32)
    migration_user=picresize_migration
    migration_password=$(random_text 32)
    root_password=$(random_text 32)
    access_secret=$(random_text 43)
    # 16 random bytes in URL-safe base64. The last, 22nd character has only two bits: A, Q, g or w.
    cluster_id=$(random_text 21)Q
}

random_text() {
    text=$(LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom 2>/dev/null | dd bs=1 count="$1" 2>/dev/null)
    [ "${#text}" -eq "$1" ] || fail "Could not read random characters from /dev/urandom."
    printf %s "$text"
}

ask_settings() {
    say "Press Enter to use the value in brackets."
    ask is_port "Port of the page [$port]" "$port"
    port=$answer
    ask is_port "Port of Adminer [$adminer_port]" "$adminer_port"
    adminer_port=$answer
    ask is_port "Port of Control Center [$control_center_port]" "$control_center_port"
    control_center_port=$answer
    ask is_user "MySQL user of the service [$user]" "$user"
    user=$answer
    ask_secret "Password of $user [generated]" "$password"
    password=$answer
    ask is_other_user "MySQL user of migrations [$migration_user]" "$migration_user"
    migration_user=$answer
    ask_secret "Password of $migration_user [generated]" "$migration_password"
    migration_password=$answer
    ask_secret "Password of MySQL's root [generated]" "$root_password"
    root_password=$answer
    ask is_name "Topic of requests [$requests_topic]" "$requests_topic"
    requests_topic=$answer
    ask is_second_topic "Topic of events [$events_topic]" "$events_topic"
    events_topic=$answer
    ask is_third_topic "Topic of dead letters [$dead_letters_topic]" "$dead_letters_topic"
    dead_letters_topic=$answer
    ask is_name "Consumer group of the workers [$group]" "$group"
    group=$answer
}

write_settings() {
    umask 077
    cat >.env.new <<END
# The names and passwords for compose.yaml. Keep this file: without it the data cannot be opened.
PICRESIZE_PORT=$port
PICRESIZE_ADMINER_PORT=$adminer_port
PICRESIZE_CONTROL_CENTER_PORT=$control_center_port
PICRESIZE_WORKERS=${workers:-1}
PICRESIZE_WORKER_GROUP=$group
PICRESIZE_REQUESTS_TOPIC=$requests_topic
PICRESIZE_EVENTS_TOPIC=$events_topic
PICRESIZE_DEAD_LETTERS_TOPIC=$dead_letters_topic
PICRESIZE_KAFKA_CLUSTER_ID=$cluster_id
PICRESIZE_MYSQL_DATABASE=picresize
PICRESIZE_MYSQL_USER=$user
PICRESIZE_MYSQL_PASSWORD=$password
PICRESIZE_MYSQL_MIGRATION_USER=$migration_user
PICRESIZE_MYSQL_MIGRATION_PASSWORD=$migration_password
PICRESIZE_MYSQL_ROOT_PASSWORD=$root_password
PICRESIZE_ACCESS_MODE=open
PICRESIZE_ACCESS_KEYS=
PICRESIZE_ACCESS_SECRETS=$access_secret
PICRESIZE_ACCESS_ALLOWED_HOSTS=localhost
END
    mv .env.new .env
}

change_workers() {
    umask 077
    {
        grep -v '^PICRESIZE_WORKERS=' .env
        echo "PICRESIZE_WORKERS=$workers"
    } >.env.new
    mv .env.new .env
}

start() {
    say "Building and starting (this takes some minutes the first time) ..."
    docker compose --project-name "$project" up --detach --build --remove-orphans ||
        fail "Not everything could be started: see the messages above and" \
            "'docker compose logs SERVICE'. If a port is already in use, change it in .env." \
            "Then run this again."
}

wait_until_healthy() {
    started=$(date +%s)
    shown=''
    while :; do
        look
        waited=$(($(date +%s) - started))
        [ -z "$failed" ] ||
            fail "$failed failed: 'docker compose logs $failed' shows why."
        [ -n "$waiting" ] || break
        [ "$waited" -lt "$timeout" ] ||
            fail "Not healthy after $timeout seconds: $waiting. 'docker compose logs SERVICE'" \
                "shows why. Use --timeout to wait longer."
        progress "$ready of $all healthy, waiting for $waiting"
        sleep 2
    done
    progress "$all of $all healthy"
    [ ! -t 1 ] || echo
}

# Counts the containers: `migrate` must have succeeded, all others must be healthy.
look() {
    all=0
    ready=0
    waiting=''
    failed=''
    states=$(states) || states='everything unknown'
    while read -r service status code health; do
        all=$((all + 1))
        case "$service $status $code $health" in
        "migrate exited 0 "* | *" running 0 healthy") ready=$((ready + 1)) ;;
        "migrate exited "*) failed=$service ;;
        *) waiting="$waiting${waiting:+, }$service" ;;
        esac
    done <<END
$states
END
}

# Prints a line for each container: its service, status, exit code and health.
states() {
    # shellcheck disable=SC2016 # Docker's template, with a raw string in it
    service='{{index .Config.Labels `com.docker.compose.service`}}'
    health='{{if .State.Health}}{{.State.Health.Status}}{{end}}'
    containers=$(docker compose --project-name "$project" ps --all --quiet) || return
    # shellcheck disable=SC2086 # a list of words
    docker inspect --format "$service {{.State.Status}} {{.State.ExitCode}} $health" $containers
}

# On a terminal, updates one line; elsewhere, prints a line for each change.
progress() {
    if [ -t 1 ]; then
        printf '\r%4d s: %s\033[K' "$waited" "$1"
    elif [ "$1" != "$shown" ]; then
        printf '%4d s: %s\n' "$waited" "$1"
    fi
    shown=$1
}

print_addresses() {
    cat <<END

picresize is ready.
  The page        http://127.0.0.1:$(first_port PORT 8000)
  Adminer         http://127.0.0.1:$(first_port ADMINER_PORT 8080)
  Control Center  http://127.0.0.1:$(first_port CONTROL_CENTER_PORT 9021)
Log in to Adminer with PICRESIZE_MYSQL_USER and PICRESIZE_MYSQL_PASSWORD from .env.
'docker compose stop' stops everything, './install.sh --uninstall' removes it.
END
}

# Prints the port in .env, or the first port of a range.
first_port() {
    value=$(sed -n "s/^PICRESIZE_$1=//p" .env)
    value=${value:-$2}
    echo "${value%%-*}"
}

remove() {
    if ! $remove_data && ! $unattended &&
        agrees "Remove the data too: pictures, results, the log, and .env with its passwords?" no; then
        remove_data=true
    fi
    volumes=''
    ! $remove_data || volumes=--volumes
    # In a folder without compose.yaml, Compose finds the containers by label and needs no .env.
    empty=$(mktemp -d)
    (
        cd -- "$empty"
        # shellcheck disable=SC2086 # one option or none
        docker compose --project-name "$project" down --remove-orphans $volumes
    ) || fail "Not everything could be removed: fix what the messages above say, and run" \
        "this again."
    rmdir "$empty"
    docker image rm "$image" >/dev/null 2>&1 || true
    if $remove_data; then
        rm -f .env
        say "Removed picresize and its data."
    else
        say "Removed picresize. Its data and .env are kept: ./install.sh starts it again."
    fi
}

# ask CHECK QUESTION DEFAULT: asks until CHECK accepts the answer.
ask() {
    while :; do
        printf '%s: ' "$2"
        read_answer
        answer=${answer:-$3}
        if "$1" "$answer"; then
            return
        fi
    done
}

# Like ask, but does not show what is typed.
ask_secret() {
    [ ! -t 0 ] || stty -echo
    ask is_secret "$1" "$2"
    [ ! -t 0 ] || stty echo
    echo
}

# agrees QUESTION yes|no: succeeds if the answer is yes; the second argument is the default.
agrees() {
    case $2 in
    yes) printf '%s [Y/n] ' "$1" ;;
    no) printf '%s [y/N] ' "$1" ;;
    esac
    read_answer
    case ${answer:-$2} in
    [yY]*) ;;
    *) return 1 ;;
    esac
}

read_answer() {
    read -r answer || {
        echo
        fail "Nobody is here to answer: run this in a terminal, or with --unattended."
    }
}

is_port() {
    is_between "$1" 1 65535 || refuse "'$1' is not a port: give a number from 1 to 65535."
}

is_user() {
    case $1 in
    [!A-Za-z]* | *[!A-Za-z0-9_]*)
        refuse "'$1' is not a user name: use a letter, then letters, digits and _, at most 32."
        ;;
    root) refuse "'root' is reserved by MySQL: choose another name." ;;
    *) [ "${#1}" -le 32 ] || refuse "'$1' has ${#1} characters: at most 32 are allowed." ;;
    esac
}

is_other_user() {
    is_user "$1" || return
    [ "$1" != "$user" ] || refuse "'$1' is the user of the service: choose another name."
}

# Never shows the password, not even a refused one.
is_secret() {
    case $1 in
    *[!A-Za-z0-9_.~+=@%:,/-]*)
        refuse "The password may only contain letters, digits and _.~+=@%:,/-"
        ;;
    *[A-Za-z]*)
        [ "${#1}" -ge 12 ] || refuse "The password has ${#1} characters: at least 12 are needed."
        ;;
    *) refuse "The password needs a letter." ;;
    esac
}

# Checks the name of a topic or a group.
is_name() {
    case $1 in
    [!A-Za-z]* | *[!A-Za-z0-9._-]*)
        refuse "'$1' is not a name: use a letter, then letters, digits and . _ -, at most 200."
        ;;
    *) [ "${#1}" -le 200 ] || refuse "'$1' has ${#1} characters: at most 200 are allowed." ;;
    esac
}

is_second_topic() {
    is_name "$1" || return
    [ "$1" != "$requests_topic" ] || refuse "'$1' is already used for a topic: choose another name."
}

is_third_topic() {
    is_second_topic "$1" || return
    [ "$1" != "$events_topic" ] || refuse "'$1' is already used for a topic: choose another name."
}

refuse() {
    say "$@"
    return 1
}

is_number() {
    case $1 in
    '' | *[!0-9]*) return 1 ;;
    esac
}

is_between() {
    is_number "$1" && [ "${#1}" -le 9 ] && [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}

has() {
    command -v "$1" >/dev/null 2>&1
}

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

main "$@"
