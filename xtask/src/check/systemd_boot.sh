# Run in a Debian whose first process is systemd: the package as an administrator uses it, from its installation to its
# removal. Each line that it prints is compared with what is expected.
unit=krcu.service
fetch() { wget -q -O- "http://127.0.0.1:9747/$1" 2>&1; }
shows() { systemctl show -P "$1" $unit; }
journal() { journalctl --no-pager -u $unit "$@"; }
# What the agent itself said, but not its manager.
said() { journal -t krcu -o cat; }
# Programs of the kernel's but those of systemd's own firewall.
programs() { grep '\[bpf\]$' /proc/kallsyms | grep ' bpf_prog_' | grep -vc ' bpf_prog_[0-9a-f]*_sd_'; }
waits() {
	tries=0
	until eval "$1"; do
		tries=$((tries + 1))
		[ $tries -le 100 ] || { echo "waited in vain for: $1" >&2; journal >&2; exit 1; }
		usleep 100000
	done
}
configure() { printf '%s\n' '[record]' 'folder = "/var/lib/krcu"' "$@" >/etc/krcu/agent.toml; }

dpkg -i /package.deb >&2
echo "installed $? enabled $(systemctl is-enabled $unit) programs $(programs)"

# Once the start has succeeded, the agent has something to say, and no privilege.
mkdir -p /etc/krcu
configure
systemctl enable --now $unit >&2
echo "started $? health $(fetch healthz)"
pid=$(shows MainPID) attached=$(programs)
capabilities() { cat /proc/$pid/task/*/status | grep -E '^Cap(Eff|Prm|Inh|Amb):'; }
echo "runs $(shows StatusText) threads $([ "$(capabilities | wc -l)" -ge 8 ] && echo several) with capabilities $(capabilities | grep -vc '0000000000000000$')"
# It is a user of its own, which has no privileges to come and sees no other service; what it gives up, it has given up.
confined() { fetch metrics | awk '/^krcu_confined\{/ { sum += $2 } END { print sum + 0 }'; }
sockets() { find /proc/$pid/root/run -type s | grep -v -e /run/krcu/ -e /run/systemd/journal/ -e /run/systemd/notify; }
echo "user $(stat -c %U /proc/$pid) new $(awk '/^NoNewPrivs/ { print $2 }' /proc/$pid/status) confined $(confined) sockets $(sockets | wc -l)"
echo "attached $([ "$attached" -ge 10 ] && echo many)"
echo "socket $(stat -c '%a %U %G' /run/krcu/krcu.sock)"
echo "watchdog $(shows WatchdogUSec) knows $(tr '\0' '\n' </proc/$pid/environ | grep -c "^WATCHDOG_PID=$pid$")"

# A verdict in the journal, with its fields.
insmod /modules/krcu_pending.ko; rmmod krcu_pending
verdicts() { journal -o json KRCU_CACHE=krcu_pending; }
# Read once, when it is whole: the journal is being written.
waits 'entry=$(verdicts | head -n 1) && [ "${entry#*KRCU_LEAKED}" != "$entry" ]'
field() { printf "%s\n" "$entry" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
echo "verdict $(field KRCU_VERDICT) priority $(field PRIORITY) unit $(field _SYSTEMD_UNIT) name $(field SYSLOG_IDENTIFIER)"
echo "fields $(field KRCU_CACHE) $(field KRCU_MODULE) $(field KRCU_COMM) $(field KRCU_KFREE_RCU) $(field KRCU_CALL_RCU) $(field KRCU_LEAKED)"

# Reloads: one key takes effect and one waits for the next start; a bad file changes nothing; what is said less is said again.
before=$(said | wc -l)
reload() { configure "$@"; systemctl reload $unit >&2; echo "reloaded $?"; }
new() { said | tail -n +$((before + 1)); }
reload '[metrics]' 'connections = 5' '[log]' 'level = "warn"'
waits '[ $(new | wc -l) -ge 1 ]'
reload '[log]' 'levle = "info"'
waits '[ $(new | wc -l) -ge 2 ]'
reload '[log]' 'level = "info"'
waits '[ $(new | wc -l) -ge 3 ]'
new
echo "reloads pid $([ "$(shows MainPID)" = "$pid" ] && echo same) restarts $(shows NRestarts) health $(fetch healthz)"

systemctl stop $unit >&2
echo "stopped $? $(shows Result) $(shows ExecMainStatus) $(systemctl is-active $unit) programs $(programs)"
said | tail -n 1 | sed 's/[0-9]* events, [0-9]* lost/some events, some lost/'
echo "left $(ls -d /run/krcu 2>/dev/null) traces $(ls /var/lib/krcu) refused calls $(dmesg | grep -c 'type=1326.*comm="krcu')"

# A wrong configuration ends the first start, and there is no second.
configure '[log]' 'levle = "info"'
systemctl start $unit >&2
echo "wrong $? $(shows Result) $(shows ExecMainStatus) $(systemctl is-failed $unit) restarts $(shows NRestarts)"
configure

# One that lives says so; one that is frozen is ended, and another takes its place.
mkdir -p /run/systemd/system/$unit.d
printf '%s\n' '[Service]' 'WatchdogSec=4s' 'RestartSec=100ms' >/run/systemd/system/$unit.d/short.conf
systemctl daemon-reload
systemctl start $unit >&2
echo "started $? health $(fetch healthz)"
pinged=$(shows WatchdogTimestampMonotonic)
waits '[ "$(shows WatchdogTimestampMonotonic)" != "$pinged" ]'
kill -STOP "$(shows MainPID)"
waits '[ "$(shows NRestarts)" = 1 ] && [ "$(fetch healthz)" = ok ]'
waits '[ "$(programs)" = "$attached" ]'
echo "frozen $(journal | grep -c 'Watchdog timeout') results $(journal | grep -c "Failed with result 'watchdog'") now $(systemctl is-active $unit) traces $(ls /var/lib/krcu | wc -l)"

# The package once more, over an agent that runs: it is the new one that runs then.
pid=$(shows MainPID)
dpkg -i /package.deb >&2
echo "again $? pid $([ "$(shows MainPID)" = "$pid" ] || echo new) from $(readlink /proc/"$(shows MainPID)"/exe) now $(systemctl is-active $unit) health $(fetch healthz)"

# The package goes, and the agent with it; the configuration and the traces go when they shall.
kept() { ls -d /etc/krcu /var/lib/krcu 2>/dev/null | wc -l; }
dpkg -r krcu >&2
echo "removed $? $(systemctl is-active $unit) $(systemctl is-failed $unit) programs $(programs) links $(find /etc/systemd -name 'krcu*' | wc -l) kept $(kept)"
dpkg --purge krcu >&2
echo "purged $? kept $(kept)"
