# What run.sh and tests/targets/run.sh both do: speak, give up, and install Debian packages. To be sourced.

say() { echo "run.sh: $*" >&2; }
# The machine lacks something: status 2. A check came out wrong, or what was asked for does not exist: status 1.
fail() { say "$*"; exit 2; }
wrong() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Installs those of the Debian packages that are missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || fail "please install what Debian calls: ${missing[*]}"
    local root=env
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || fail "missing packages; as root: apt-get install --no-install-recommends ${missing[*]}"
        root="sudo -n env"
    fi
    say "installing ${missing[*]}"
    $root DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install ${missing[*]}; try apt-get update first"
}
