# Run in a clean Debian root: installs /package.deb, looks at all that is in it, and removes it. The first that fails ends it.
set -e
wrong() { echo "wrong: $*" >&2; exit 1; }

dpkg -i /package.deb >&2
[ "$(dpkg-query -W -f '${Status}' krcu)" = "install ok installed" ] || wrong "it is not installed"

# The programs: static, and what `krcu NAME` runs is beside it.
krcu --version
krcu-tui --version
krcu tui --version
krcu agent --check-config
status=0
krcu tui --replay /nothing 2>/tmp/said || status=$?
[ $status = 1 ] || wrong "krcu tui of no trace ends with status $status"

# The user of the agent and the group of the socket: the package's own script has made them.
getent passwd krcu || wrong "there is no user krcu"
getent group krcu || wrong "there is no group krcu"

# Pages are found by name, and each option of the command is on its page.
for page in krcu krcu-check krcu-record krcu-replay krcu-export krcu-agent krcu-analyze krcu-doctor krcu-tui; do
	man -w "$page" >&2
	man "$page" | col -b 2>/dev/null >/tmp/page || man "$page" >/tmp/page
	grep -q '^NAME' /tmp/page || wrong "the page $page has no name"
done
for page in krcu-tui krcu-analyze; do
	man krcu | grep -q "$page(1)" || wrong "the page of krcu does not name $page"
done
man -w 5 krcu-agent.toml >&2
man krcu-agent.toml | grep -q ring_bytes || wrong "the page of the configuration has no key"
man krcu-tui | grep -q replay || wrong "the page of krcu-tui has no option"

# Completions, by each shell itself.
bash -c '
	completes() { # EXPECTED PROGRAM WORD...
		. "/usr/share/bash-completion/completions/$2"
		expected=$1; shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
		"$(complete -p "$1" | sed "s/.*-F \([^ ]*\).*/\1/")" "$1" "${@: -1}" "${@: -2:1}"
		[ "${COMPREPLY[*]}" = "$expected" ] || { echo "bash completes $* to ${COMPREPLY[*]}"; exit 1; }
	}
	completes check krcu ch
	completes tui krcu tu
	completes analyze krcu an
	completes --settle krcu check --set
	completes --replay krcu-tui --rep
	completes --replay krcu tui --rep' >&2
for verb in check tui analyze; do
	fish -c "complete -C 'krcu ${verb%??}'" | grep -q "^$verb" || wrong "fish does not complete krcu ${verb%??}"
done
for program in krcu-tui 'krcu tui'; do
	fish -c "complete -C '$program --rep'" | grep -q '^--replay' || wrong "fish does not complete $program --rep"
done
for name in krcu krcu-tui; do
	# As zsh does it: the functions are found by their files' names.
	zsh -f -c "fpath=(/usr/share/zsh/site-functions \$fpath); autoload -U compinit; compinit -u -D; (( \$+_comps[$name] ))" ||
		wrong "zsh does not complete $name"
done
for verb in check tui analyze; do
	grep -q "^'$verb:" /usr/share/zsh/site-functions/_krcu || wrong "zsh does not complete krcu $verb"
done

# The verb of another program is completed by that one's own: typed as by hand.
timeout 60 zsh -f -c '
	zmodload zsh/zpty
	zpty shell zsh -f -i
	zpty -w shell "PS1=; fpath=(/usr/share/zsh/site-functions \$fpath); autoload -U compinit; compinit -u -D; echo re\"\"ady"
	zpty -r shell line "*ready*"
	zpty -w -n shell "krcu tui --rep$(printf "\t")"
	zpty -r shell line "*--replay*"' || wrong "zsh does not complete krcu tui --rep"

# The unit and its users.
systemd-analyze verify krcu.service >&2
systemd-analyze security --offline=true --no-pager krcu.service

dpkg -r krcu >&2
dpkg --purge krcu >&2
left=$(find /usr /etc /var/lib -name 'krcu*' -not -path '/var/lib/dpkg/*')
[ -z "$left" ] || wrong "left behind: $left"
