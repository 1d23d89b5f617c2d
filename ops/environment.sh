# Places and words shared by the scripts beside this file. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/build/release/bin
var=$root/var
data_centres=(dc1 dc2 dc3)
https_port=7100 # plus the number of the data centre
peer_port=7200

say() { printf '==> %s\n' "$*"; }
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Builds the targets named after the preset. Two jobs and 2 GiB each: the templates of Beast need that much.
build() {
  local preset=$1 jobs memory_gib
  shift
  memory_gib=$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
  jobs=$(nproc)
  ((jobs > memory_gib / 2)) && jobs=$((memory_gib / 2))
  ((jobs < 1)) && jobs=1
  cmake --preset "$preset" -S "$root" ${PAXLEDGER_WERROR:+-DPAXLEDGER_WERROR="$PAXLEDGER_WERROR"} \
    >"$root/build/$preset.configure.log" 2>&1 || {
    cat "$root/build/$preset.configure.log" >&2
    fail "cmake could not configure preset $preset"
  }
  cmake --build "$root/build/$preset" --parallel "$jobs" --target "$@" || fail "the build of preset $preset failed"
}

# Prints the pid of a data centre's ledgerd, if the pid file names a living process that is really it: a pid alone may
# have been given to another program since. By its command line, since a new build takes the file away under the process.
running_pid() {
  local dc=$1 pid
  pid=$(cat "$var/$dc/ledgerd.pid" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  [[ $(tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline") == "$(ledgerd_command "$dc")" ]] || return 1
  printf '%s\n' "$pid"
}

# The words that start a data centre's ledgerd, one a line.
ledgerd_command() { printf '%s\n' "$bin/ledgerd" run --config "$var/$1/ledgerd.json"; }

# Asks a data centre's ledgerd to drain and waits until it is gone.
stop_data_centre() {
  local dc=$1 pid
  if ! pid=$(running_pid "$dc"); then
    rm -f "$var/$dc/ledgerd.pid"
    say "$dc is not running"
    return
  fi
  kill -TERM "$pid" || fail "$dc (pid $pid) cannot be stopped by this user"
  for _ in $(seq 150); do
    running_pid "$dc" >/dev/null || break
    sleep 0.1
  done
  if running_pid "$dc" >/dev/null; then
    say "$dc (pid $pid) did not drain within 15 s: killing it; its log is $var/$dc/ledgerd.log"
    kill -KILL "$pid"
    while running_pid "$dc" >/dev/null; do sleep 0.1; done
  fi
  rm -f "$var/$dc/ledgerd.pid"
  say "$dc stopped"
}
