#!/bin/sh
# Sets picresize up in containers, with Kafka and MySQL: checks Docker, writes the passwords and
# names into .env, starts everything by compose.yaml and waits until it is healthy. install.ps1
# does the same on Windows. install.sh --help tells the options.
set -eu

project=picresize
image=picresize:0.1.0
# Docker Desktop with 6 GB set tells a little less.
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
    # However this ends, what is typed afterwards is to be seen again.
    trap '[ ! -t 0 ] || stty echo' EXIT
    trap 'exit 130' INT TERM
    check_docker
    check_compose
    if $uninstall; then
        remove
        return
    fi
    check_memory
    settle_settings
    start
    wait_until_healthy
    tell_addresses
}

usage() {
    cat <<'END'
Usage: ./install.sh [OPTION]...

Sets picresize up in containers, with three Kafka brokers, Control Center, MySQL and Adminer, and
waits until everything is healthy. Docker needs 6 GB of memory.

  --unattended     ask nothing: generate the passwords, keep an .env that is there
  --workers N      run N workers (1 to 64)
  --timeout S      wait S seconds at the most for everything to be healthy (default: 900)
  --uninstall      remove the containers; asks about the data, unattended keeps it
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
        *) fail "'$1' is not an option: ./install.sh --help lists them." ;;
        esac
        shift
    done
    if $remove_data && ! $uninstall; then
        fail "--remove-data goes with --uninstall only."
    fi
}

check_docker() {
    has docker || fail "Docker is not installed: install Docker Desktop, or Docker Engine with" \
        "its Compose plugin, as https://docs.docker.com/get-docker says, and run this again."
    memory=$(docker info --format '{{.MemTotal}}' 2>/dev/null) || memory=''
    is_number "$memory" ||
        fail "Docker does not answer: start Docker Desktop (or the service: sudo systemctl start" \
            "docker), see that 'docker info' works for this user, and run this again."
}

check_compose() {
    version=$(docker compose version --short 2>/dev/null) || fail \
        "Docker has no Compose: install its plugin (package docker-compose-plugin," \
        "docker-compose-v2 or docker-compose), until 'docker compose version' works."
    version=${version#v}
    major=${version%%.*}
    minor=${version#*.}
    minor=${minor%%.*}
    if ! is_number "$major" || ! is_number "$minor" || [ "$major" -lt 2 ] ||
        { [ "$major" -eq 2 ] && [ "$minor" -lt 24 ]; }; then
        fail "Docker Compose is $version, and 2.24 is the least that will do: update Docker" \
            "Desktop or the Compose plugin, and run this again."
    fi
}

check_memory() {
    [ "$memory" -lt "$least_memory" ] || return 0
    fail "Docker has $((memory / 1000000)) MB of memory, and picresize needs 6000: give it more" \
        "in Docker Desktop (Settings, Resources), or use a larger machine, and run this again."
}

# Leaves an .env: the one that was there, or a new one.
settle_settings() {
    if [ -e .env ]; then
        if $unattended || agrees "There is an .env already. Keep its passwords and names?" yes; then
            say "Keeping .env."
            [ -z "$workers" ] || change_workers
            return
        fi
        ! has_data || fail "The data of picresize opens with the passwords in .env, and with no" \
            "others: remove it with './install.sh --uninstall' first, or keep .env."
    elif has_data; then
        fail "There is data of an earlier picresize (the volume ${project}_mysql), and no .env" \
            "with its passwords: put that .env back, or remove the data with" \
            "'./install.sh --uninstall --remove-data'."
    fi
    generate_settings
    if ! $unattended && ! agrees "Use generated passwords and the usual names?" yes; then
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
    # 16 random bytes in URL-safe base64, whose 22nd character has two bits to bear: A, Q, g or w.
    cluster_id=$(random_text 21)Q
}

random_text() {
    text=$(LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom 2>/dev/null | dd bs=1 count="$1" 2>/dev/null)
    [ "${#text}" -eq "$1" ] || fail "No random characters could be read from /dev/urandom."
    printf %s "$text"
}

ask_settings() {
    say "An empty answer takes what stands in brackets."
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
# The names and passwords that compose.yaml takes. Keep this file: the data opens with no others.
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
    say "Building and starting (the first time takes some minutes) ..."
    docker compose --project-name "$project" up --detach --build --remove-orphans ||
        fail "Not everything could be started, as said above. What a service says is shown by" \
            "'docker compose logs SERVICE'. A port that is taken is changed in .env. Then run" \
            "this again."
}

wait_until_healthy() {
    started=$(date +%s)
    told=''
    while :; do
        look
        waited=$(($(date +%s) - started))
        [ -z "$failed" ] ||
            fail "$failed ended with a failure: 'docker compose logs $failed' says why."
        [ -n "$waiting" ] || break
        [ "$waited" -lt "$timeout" ] ||
            fail "Not healthy after $timeout seconds: $waiting. 'docker compose logs SERVICE'" \
                "says why, and --timeout lets this wait longer."
        progress "$ready of $all healthy, waiting for $waiting"
        sleep 2
    done
    progress "$all of $all healthy"
    [ ! -t 1 ] || echo
}

# Counts the containers: `migrate` is to end well, all others to be healthy.
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

# A line for each container: its service, status, exit code and health.
states() {
    # shellcheck disable=SC2016 # Docker's template, with a raw string in it
    service='{{index .Config.Labels `com.docker.compose.service`}}'
    health='{{if .State.Health}}{{.State.Health.Status}}{{end}}'
    containers=$(docker compose --project-name "$project" ps --all --quiet) || return
    # shellcheck disable=SC2086 # a list of words
    docker inspect --format "$service {{.State.Status}} {{.State.ExitCode}} $health" $containers
}

# One line that changes on a terminal; elsewhere a line for each change.
progress() {
    if [ -t 1 ]; then
        printf '\r%4d s: %s\033[K' "$waited" "$1"
    elif [ "$1" != "$told" ]; then
        printf '%4d s: %s\n' "$waited" "$1"
    fi
    told=$1
}

tell_addresses() {
    cat <<END

picresize is ready.
  The page        http://127.0.0.1:$(first_port PORT 8000)
  Adminer         http://127.0.0.1:$(first_port ADMINER_PORT 8080)
  Control Center  http://127.0.0.1:$(first_port CONTROL_CENTER_PORT 9021)
Adminer asks for PICRESIZE_MYSQL_USER and PICRESIZE_MYSQL_PASSWORD, which are in .env.
'docker compose stop' stops everything, './install.sh --uninstall' removes it.
END
}

# The port in .env, or the first of a range.
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
    # Where no compose.yaml is, Compose goes by the labels of what there is, and needs no .env.
    empty=$(mktemp -d)
    (
        cd -- "$empty"
        # shellcheck disable=SC2086 # one option or none
        docker compose --project-name "$project" down --remove-orphans $volumes
    ) || fail "Not everything could be removed, as said above: run this again when that is mended."
    rmdir "$empty"
    docker image rm "$image" >/dev/null 2>&1 || true
    if $remove_data; then
        rm -f .env
        say "picresize and its data are removed."
    else
        say "picresize is removed. Its data and .env are kept: ./install.sh brings it back."
    fi
}

# ask CHECK QUESTION DEFAULT: asks until CHECK takes the answer.
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

# Like ask, without showing what is typed.
ask_secret() {
    [ ! -t 0 ] || stty -echo
    ask is_secret "$1" "$2"
    [ ! -t 0 ] || stty echo
    echo
}

# agrees QUESTION yes|no: whether the answer is yes; an empty one is what is named.
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
        fail "There is nobody to answer: run this in a terminal, or with --unattended."
    }
}

is_port() {
    is_between "$1" 1 65535 || refuse "'$1' is not a port: a number from 1 to 65535."
}

is_user() {
    case $1 in
    [!A-Za-z]* | *[!A-Za-z0-9_]*)
        refuse "'$1' is not a user: a letter, then letters, digits and _, 32 at the most."
        ;;
    root) refuse "'root' is MySQL's own: take another name." ;;
    *) [ "${#1}" -le 32 ] || refuse "'$1' has ${#1} characters: 32 is the most." ;;
    esac
}

is_other_user() {
    is_user "$1" || return
    [ "$1" != "$user" ] || refuse "'$1' is the user of the service: take another name."
}

# The password is never shown, not even a refused one.
is_secret() {
    case $1 in
    *[!A-Za-z0-9_.~+=@%:,/-]*)
        refuse "The password has a character that is not a letter, a digit or one of _.~+=@%:,/-"
        ;;
    *[A-Za-z]*)
        [ "${#1}" -ge 12 ] || refuse "The password has ${#1} characters: 12 is the least."
        ;;
    *) refuse "The password has no letter." ;;
    esac
}

# Of topics and groups.
is_name() {
    case $1 in
    [!A-Za-z]* | *[!A-Za-z0-9._-]*)
        refuse "'$1' is not a name: a letter, then letters, digits and . _ -, 200 at the most."
        ;;
    *) [ "${#1}" -le 200 ] || refuse "'$1' has ${#1} characters: 200 is the most." ;;
    esac
}

is_second_topic() {
    is_name "$1" || return
    [ "$1" != "$requests_topic" ] || refuse "'$1' is another topic already: take another name."
}

is_third_topic() {
    is_second_topic "$1" || return
    [ "$1" != "$events_topic" ] || refuse "'$1' is another topic already: take another name."
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
