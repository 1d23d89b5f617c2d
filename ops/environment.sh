# Places and words shared by the scripts beside this file. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/build/release/bin
var=$root/var
data_centres=(dc1 dc2 dc3)
https_port=7100 # plus the number of the data centre, and 10 for each node of it before this one
peer_port=7200
# As the creation document names them; one in each data centre bears its name.
nodes=("${data_centres[@]}")
if [[ -e $var/dev/genesis.json ]]; then
  mapfile -t nodes < <(sed -n 's/^ *"name": "\(.*\)",\{0,1\}$/\1/p' "$var/dev/genesis.json")
fi

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

# door_offset NODE: what its ports have beyond https_port and peer_port: 1 for dc1 and dc1-a, 11 for dc1-b, 2 for dc2-a.
door_offset() {
  local data_centre=${1%%-*} letter=a
  [[ $1 != *-* ]] || letter=${1##*-}
  printf '%d\n' $((${data_centre#dc} + 10 * ($(printf '%d' "'$letter") - 97)))
}

# node_names N: of a cluster with N nodes in each data centre, as `ledgerd init` calls them.
node_names() {
  local dc i letters=abcdefghi
  for dc in "${data_centres[@]}"; do
    for ((i = 0; i < $1; ++i)); do
      if (($1 == 1)); then echo "$dc"; else echo "$dc-${letters:i:1}"; fi
    done
  done
}

# Prints the pid of a node's ledgerd, if the pid file names a living process that is really it: a pid alone may
# have been given to another program since. By its command line, since a new build takes the file away under the process.
running_pid() {
  local node=$1 pid
  pid=$(cat "$var/$node/ledgerd.pid" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  [[ $(tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline") == "$(ledgerd_command "$node")" ]] || return 1
  printf '%s\n' "$pid"
}

# The words that start a node's ledgerd, one a line.
ledgerd_command() { printf '%s\n' "$bin/ledgerd" run --config "$var/$1/ledgerd.json"; }

# Asks a node's ledgerd to drain and waits until it is gone.
stop_node() {
  local node=$1 pid
  if ! pid=$(running_pid "$node"); then
    rm -f "$var/$node/ledgerd.pid"
    say "$node is not running"
    return
  fi
  kill -TERM "$pid" || fail "$node (pid $pid) cannot be stopped by this user"
  for _ in $(seq 150); do
    running_pid "$node" >/dev/null || break
    sleep 0.1
  done
  if running_pid "$node" >/dev/null; then
    say "$node (pid $pid) did not drain within 15 s: killing it; its log is $var/$node/ledgerd.log"
    kill -KILL "$pid"
    while running_pid "$node" >/dev/null; do sleep 0.1; done
  fi
  rm -f "$var/$node/ledgerd.pid"
  say "$node stopped"
}
