package bundle

// These are the shell texts that run on the computer, with POSIX utilities alone. They are the same
// for all bundles, and the data comes by standard input. So the list of processes shows nothing of
// a bundle.

// bootScript becomes root if asked to. Its arguments are the text to go on with, "root" or
// "self", the record's directory or "" (then $HOSTLER_BUNDLES, if set), an unguessable token,
// and the text's own arguments. A text with ": apart" gets a session of its own, since losing
// contact may end the first process group.
const bootScript = `t=$1 a=$2 s=${3:-$HOSTLER_BUNDLES} h=$HOME
shift 3
u= own=
case $t in
*": apart"*) ! command -v setsid >/dev/null 2>&1 || own=setsid;;
esac
[ "$a" = self ] && [ -n "$h" ] || u=$(id -u) || exit 1
[ -n "$h" ] || { [ "$u" = 0 ] && h=/root || h=/; }
if [ "$a" = self ]; then : "${s:=${XDG_STATE_HOME:-$h/.local/state}/hostler/bundle}"; else : "${s:=/var/lib/hostler/bundle}"; fi
if [ "$a" != self ] && [ "$u" != 0 ]; then
	n=$(id -un 2>/dev/null) || n=$u
	command -v sudo >/dev/null 2>&1 || { echo "hostler-bundle: denied: $n is not root there, and there is no sudo" >&2; exit 1; }
	w=$(sudo -n true 2>&1) || { echo "hostler-bundle: denied: $n is not root there, and sudo says: $w" >&2; exit 1; }
	exec sudo -n -- $own sh -c "$t" hostler-bundle "$n" "$h" "$s" "$@"
fi
if [ -n "$own" ]; then
	exec 6<&0 # which is /dev/null in what runs in the background
	$own sh -c "$t" hostler-bundle "" "$h" "$s" "$@" <&6 6<&- &
	exec 6<&- </dev/null
	wait $!
	exit $?
fi
set -- "" "$h" "$s" "$@"
eval "$t"
`

// commonScript begins every text. A process of ours is identified by its number and the token among
// its arguments.
const commonScript = `login=$1 home=$2 S=$3 tok=$4
shift 4
umask 077
user() {
	[ -n "$login" ] || login=$(id -un 2>/dev/null) || login=$(id -u)
}
alive() {
	kill -0 "$1" 2>/dev/null || return 1
	if [ -r "/proc/$1/cmdline" ]; then
		case $(tr '\0' ' ' <"/proc/$1/cmdline") in *"$2"*) return 0;; esac
		return 1
	fi
	a=$(ps -o args= -p "$1" 2>/dev/null) || return 0
	case $a in *"$2"*) return 0;; esac
	return 1
}
running() {
	[ -r "$1/pid" ] && read -r r_tok r_pid <"$1/pid" && alive "$r_pid" "$r_tok"
}
step() {
	r_id= r_s=
	[ ! -r "$1/step" ] || read -r r_id r_s r_own r_limit r_out r_err <"$1/step" || r_id=
	[ -n "$r_id" ]
}
finish() {
	echo "$2" >"$1/stop-$3"
	step "$1" && [ "$r_id" = "$3" ] || return 0
	if [ "$r_own" = - ]; then kill -s KILL "$r_s"; else kill -s KILL -- "-$r_s" 2>/dev/null || kill -s KILL "$r_s"; fi
}
guard() {
	trap '' HUP PIPE
	g_was= g_n=0
	while running "$1"; do
		sleep 1
		step "$1" || continue
		[ "$g_was" = "$r_s" ] || g_n=0
		g_was=$r_s g_n=$((g_n+1))
		[ $g_n -lt "$r_limit" ] || finish "$1" timeout "$r_id" 2>/dev/null
	done
}
`

// lockScript takes the lock. It waits up to so many seconds, its argument, for other holders and
// for user data at the first boot. The lock is held until standard input ends. If a holder is
// dead, only the process that makes a directory named for it removes the lock.
const lockScript = `: apart
[ -d "$S/run" ] && [ -d "$S/scripts" ] || mkdir -p "$S/run" "$S/scripts" || exit 1
L=$S/lock
unlock() {
	if [ -n "$held" ] && read -r o_tok o_pid <"$L" && [ "$o_tok" = "$tok" ]; then
		case $tok in
		first-boot-*) rm -f "$L.$tok" "$L";;
		*) rm -f "$L.$tok" "$S"/text-* "$L";;
		esac
	else
		rm -f "$L.$tok"
	fi
}
held= left=$1
trap unlock 0
trap 'exit 1' HUP INT TERM PIPE
case $tok in
first-boot-*) ;;
*)
	while [ -d "$S/first" ] && [ "$left" -gt 0 ]; do
		left=$((left-1))
		sleep 1
	done;;
esac
echo "$tok $$" >"$L.$tok" || exit 1
until ln "$L.$tok" "$L" 2>/dev/null; do
	if read -r o_tok o_pid <"$L"; then
		if alive "$o_pid" "$o_tok"; then
			[ "$left" -gt 0 ] || { echo "hostler-bundle: busy: process $o_pid" >&2; exit 1; }
			left=$((left-1))
			sleep 1
		elif mkdir "$L-$o_tok" 2>/dev/null; then
			if read -r n_tok n_pid <"$L" && [ "$n_tok" = "$o_tok" ]; then rm -f "$L" "$L.$o_tok"; fi
			rmdir "$L-$o_tok"
		fi
	elif [ -e "$L" ]; then
		rm -f "$L"
	elif [ ! -e "$L.$tok" ]; then
		echo "$tok $$" >"$L.$tok" || exit 1
	fi
done
held=1
case $tok in
first-boot-*) ;;
*) [ ! -d "$S/first" ] || rm -rf "$S/first" "$S"/text-*;;
esac
`

// checkScript reports the state of the computer. Lines of standard input ask, until ".": "p
// PATH", "t TOOL", "facts", "keys".
const checkScript = `LC_ALL=C QUOTING_STYLE=literal
export LC_ALL QUOTING_STYLE
echo "hostler-bundle $tok"
if command -v sha256sum >/dev/null 2>&1; then sums() { echo "= sha"; sha256sum "$@"; }
elif command -v shasum >/dev/null 2>&1; then sums() { echo "= sha"; shasum -a 256 "$@"; }
else sums() { echo "= cksum"; cksum "$@"; }; fi
flush() {
	[ $# -gt 0 ] || return 0
	sums "$@" 2>/dev/null
	echo "= ls"
	ls -ldn "$@" 2>/dev/null
}
facts() {
	echo "= facts"
	echo "os $(uname -s)"
	echo "arch $(uname -m)"
	echo "kernel $(uname -r)"
	echo "hostname $(uname -n)"
	user
	echo "user $login"
	[ ! -r /etc/os-release ] || sed -n -e 's/^ID=/distribution /p' -e 's/^VERSION_ID=/release /p' /etc/os-release
	echo "cores $(getconf _NPROCESSORS_ONLN 2>/dev/null || nproc 2>/dev/null || sed -n '/^processor/p' /proc/cpuinfo 2>/dev/null | wc -l)"
	[ ! -r /proc/meminfo ] || while read -r k v w; do [ "$k" != MemTotal: ] || echo "memory $((v*1024))"; done </proc/meminfo
	df -kP / 2>/dev/null | { read -r k; read -r k v w; echo "disk $((v*1024))"; }
}
n=0
set --
while IFS= read -r l; do
	case $l in
	.) break;;
	"p "*)
		l=${l#p }
		if [ -h "$l" ]; then printf '= odd\nlink %s\n' "$l"
		elif [ -f "$l" ]; then
			set -- "$@" "$l"
			n=$((n+1))
			[ $n -lt 500 ] || { flush "$@"; set --; n=0; }
		elif [ -d "$l" ]; then printf '= odd\ndirectory %s\n' "$l"
		elif [ -e "$l" ]; then printf '= odd\nspecial %s\n' "$l"; fi;;
	"t "*) printf '= facts\ntool.%s %s\n' "${l#t }" "$(command -v "${l#t }" 2>/dev/null)";;
	facts) facts;;
	keys)
		echo "= keys"
		[ ! -r "$home/.ssh/authorized_keys" ] || cat "$home/.ssh/authorized_keys"
		echo;;
	esac
done
flush "$@"
if [ -d "$S" ]; then
	echo "= record"
	[ ! -r "$S/salt" ] || cat "$S/salt"
	[ ! -r "$S/files" ] || cat "$S/files"
	set -- "$S"/scripts/*
	[ ! -e "$1" ] || cat "$@"
	for d in "$S"/run/*; do
		if ! step "$d"; then :
		elif running "$d"; then echo "alive $r_id $r_tok"
		else echo "begun $r_id"; fi
	done
fi
echo "end $tok"
`

// holdScript keeps the lock until standard input ends. If scripts still run then, contact was
// lost: it stays to enforce their time limits.
const holdScript = `while read -r l; do :; done
for d in "$S"/run/*; do
	[ ! -e "$d/pid" ] || ! running "$d" || guard "$d" </dev/null >/dev/null 2>&1 &
done
`

// putScript writes what standard input brings: a list of lines until ".", then all contents. Each
// content begins at a multiple of 512 bytes. In a line "f OFFSET SIZE MODE OWNER PATH", OFFSET
// counts such blocks; -1 means that the content is all the rest.
const putScript = `mkdir -p "$S/run" "$S/scripts" || exit 1
tmp=
trap 'rm -f "$S/blob.$tok" "$S/list.$tok"; [ -z "$tmp" ] || rm -f "$tmp"' 0
trap 'exit 1' HUP INT TERM PIPE
fail() {
	echo "hostler-bundle: cannot write $1" >&2
	exit 1
}
exec 3>"$S/list.$tok" || fail "$S"
rest=
while IFS= read -r l; do
	[ "$l" != . ] || break
	case $l in "f -1 "*) rest=1;; esac
	printf '%s\n' "$l" >&3 || fail "$S"
done
exec 3>&-
[ -n "$rest" ] || cat >"$S/blob.$tok" || fail "$S"
part() {
	if [ "$1" = -1 ]; then
		cat && return
		return 1
	fi
	b=$(($2/512)) r=$(($2%512))
	[ $b = 0 ] || dd if="$S/blob.$tok" bs=512 skip="$1" count=$b || return 1
	[ $r = 0 ] || dd if="$S/blob.$tok" bs=1 skip=$((($1+b)*512)) count=$r
}
word() {
	w=${l%% *}
	l=${l#* }
}
place() {
	d=${path%/*}
	[ -n "$d" ] || d=/
	[ -d "$d" ] || (umask 022; mkdir -p "$d") || fail "$path"
	[ -h "$path" ] || [ ! -d "$path" ] || { echo "hostler-bundle: $path is a directory" >&2; exit 1; }
	tmp=$d/.hostler-$tok
	part "$off" "$size" 2>&4 >"$tmp" || fail "$path"
	s=$(wc -c <"$tmp") && [ "$((s))" = "$size" ] || fail "$path: it got $s of $size bytes"
	[ "$owner" = - ] || chown "$owner" "$tmp" || fail "$path: its owner cannot be $owner"
	chmod "$mode" "$tmp" || fail "$path"
	[ ! -h "$path" ] || rm -f "$path"
	mv -f "$tmp" "$path" || fail "$path"
	tmp=
}
exec 4>/dev/null 5<&0
while IFS= read -r l; do
	k=${l%% *}
	l=${l#* }
	case $k in
	s)
		[ -e "$S/salt" ] || echo "salt $l" >"$S/salt" || fail "$S/salt";;
	k)
		f=$home/.ssh/authorized_keys
		new=
		if [ ! -d "$home/.ssh" ]; then
			mkdir -p "$home/.ssh" || fail "$home/.ssh"
			new="$home/.ssh"
		fi
		[ -e "$f" ] || { : >"$f" || fail "$f"; new="$new $f"; }
		user
		if [ -n "$new" ] && [ "$(id -un)" != "$login" ]; then
			g=$(id -g "$login") && chown "$login:$g" "$home/.ssh" "$f" || fail "$f"
		fi
		[ ! -s "$f" ] || [ -z "$(tail -c 1 "$f")" ] || echo >>"$f" || fail "$f"
		printf '%s\n' "$l" >>"$f" || fail "$f";;
	f)
		word; off=$w; word; size=$w; word; mode=$w; word; owner=$w
		path=$l
		place <&5;;
	r)
		word; off=$w; word; size=$w
		path=$S/files mode=600 owner=-
		place;;
	esac
	echo ok
done <"$S/list.$tok"
`

// showScript prints the files whose paths come by standard input, each after a line with its size.
const showScript = `while IFS= read -r l; do
	if [ -f "$l" ] && n=$(wc -c <"$l"); then
		echo "$((n))"
		cat "$l"
	else
		echo -1
	fi
done
`
