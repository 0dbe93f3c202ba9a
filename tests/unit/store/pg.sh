#!/bin/bash
# pg.sh COMMAND ...: run COMMAND with a throw-away PostgreSQL; INARI_TEST_DB is the conninfo of a plain owner role,
# INARI_TEST_DB_SUPER of a superuser, INARI_TEST_PG_DIR the cluster (its "data" and the socket).  initdb refuses root: as root it runs as nobody.
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
dir=$(mktemp -d /tmp/inari-pg.XXXXXX)
as() { (cd "$dir" && "$@"); }
if [ "$(id -u)" = 0 ]; then
    chown nobody "$dir"
    as() { (cd "$dir" && runuser -u nobody -- "$@"); }
fi
stop() {
    as "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap stop EXIT
as "$bin/initdb" -D "$dir/data" -U super -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
as "$bin/pg_ctl" -D "$dir/data" -w -t 30 -l "$dir/data/log" -o "-c listen_addresses='' -k '$dir' -c fsync=off" start >/dev/null ||
    { cat "$dir/data/log" >&2; exit 1; }
psql -qX -h "$dir" -U super postgres -c "CREATE ROLE inari LOGIN" -c "CREATE DATABASE inari OWNER inari"
export INARI_TEST_PG_DIR="$dir" INARI_TEST_PG_BIN="$bin"
export INARI_TEST_DB="host=$dir user=inari dbname=inari" INARI_TEST_DB_SUPER="host=$dir user=super dbname=inari"
"$@"
