package bundle

// sessionScript runs the scripts that standard input brings, one after the other. Each has a
// session of its own, so it goes on when contact is lost, and its end is recorded. After contact
// was lost, no further script begins: each one waits for its input.
//
// The input has the salt of a new record, or "-", and the names of the scripts' files. Then each
// script has this line, a line that sets its environment, and its text; "end" is the last line.
//
//	run FILE STEP LIMIT SUM LINES REST STDOUT STDERR ONERROR TITLE
//
// LIMIT is the script's time limit in seconds, and SUM goes into the record. LINES is the number
// of its lines, or "-" if stageScript has stored it; REST says whether an unfinished line
// follows. STDOUT and STDERR say how much of our output was read before. ONERROR is "stop" or
// "go", for a failure. A line behind each script's output, and one behind its errors, says how
// the script ended.
//
// All output goes through two tees, to us and into files. The argument "alone" says that no other
// process enforces the time limits.
//
// A script's end overwrites a line that was written before the script began. So there is room for
// it even if the script has filled the disk. after runs a command later. It takes two children,
// since a shell that was just forked may lose a signal that can be caught; never undoes it.
const sessionScript = `: apart
D=$S/run/$tok alone=$1
hl_n='
'
after() {
	mkfifo "$1" || return 0
	sleep "$2" </dev/null >"$1" &
	z=$!
	(f=$1; shift 2; read -r x <"$f"; "$@") </dev/null >/dev/null &
	w=$!
}
never() {
	[ -z "$w" ] || kill -s KILL "$w" "$z"
	[ -z "$w" ] || wait "$w" "$z"
	w=
}
broken() {
	echo "hostler-bundle: cannot write $1" >&2
	exit 1
}
[ -d "$S/run" ] && [ -d "$S/scripts" ] || mkdir -p "$S/run" "$S/scripts" || exit 1
for d in "$S"/run/*; do
	[ ! -d "$d" ] || running "$d" || rm -rf "$d"
done
trap : HUP PIPE INT TERM
mkdir "$D" "$D/s" || exit 1
echo "$tok $$" >"$D/pid" || broken "$D"
IFS= read -r salt && IFS= read -r names || exit 1
[ "$salt" = - ] || [ -s "$S/salt" ] || echo "salt $salt" >"$S/salt" || broken "$S/salt"
set --
for f in $names; do
	true >"$D/s/$f" || broken "$D"
	set -- "$@" "$D/s/$f"
done
chmod 700 "$@"
own=
command -v setsid >/dev/null 2>&1 && own=setsid
exec 3>&1 4>&2
t1= t2=
if mkfifo "$D/o" "$D/e" 2>/dev/null; then
	(trap '' HUP PIPE; exec tee "$D/out" 2>/dev/null) <"$D/o" 3>&- 4>&- &
	t1=$!
	(trap '' HUP PIPE; exec tee "$D/err" 2>/dev/null) <"$D/e" >&2 3>&- 4>&- &
	t2=$!
	exec 3>"$D/o" 4>"$D/e"
fi
exec 5>&2 2>/dev/null
[ "$alone" != alone ] || guard "$D" </dev/null >/dev/null 3>&- 4>&- 5>&- &
text() {
	i=0 over=1
	while [ $i -lt "$lines" ]; do
		IFS= read -r l || return 1
		printf '%s\n' "$l" || { over=; return 1; }
		i=$((i+1))
	done
	[ "$rest" = 0 ] || IFS= read -r l || return 1
	over=
	[ "$rest" = 0 ] || printf '%s' "$l"
}
failed=
while word= && IFS=' ' read -r word f id limit sum lines rest out err on title; do
	[ "$word" = run ] || break
	f=$D/s/$f st=
	IFS= read -r env || break
	over=
	echo >"$S/scripts/$id" || st=unwritten
	if [ "$lines" = - ]; then mv -f "$S/text-$id" "$f" || st=unwritten
	else text >"$f" || st=unwritten; fi
	[ -z "$over" ] || break
	if [ -z "$st" ]; then
		first=
		IFS= read -r first <"$f"
		(
			umask 022
			cd "${HOME:-/}" || cd /
			exec 2>&4 4>&-
			eval "$env"
			case $first in "#!"*) exec $own "$f";; *) exec $own sh "$f";; esac
		) </dev/null >&3 3>&- 5>&- &
		s=$!
		echo "$id $s ${own:--} $limit $out $err" >"$D/step"
		[ ! -e "$D/stop-$id" ] || finish "$D" "$(cat "$D/stop-$id")" "$id"
		wait "$s"
		st=$?
		while [ $st -gt 128 ] && kill -0 "$s"; do
			wait "$s"
			st=$?
		done
		if [ -e "$D/stop-$id" ]; then
			st=stopped
			read -r x <"$D/stop-$id" && st=${x:-stopped}
		fi
		echo "script $id $sum $st $title" 1<>"$S/scripts/$id" || echo "hostler-bundle: how it ended could not be written down in $S" >&4
	fi
	true >"$f"
	true >"$D/step"
	[ "$st" = 0 ] || failed=1
	if [ "$alone" = alone ]; then
		echo "hostler: bundle script $title ended with status $st" >&3
	else
		printf '\036%s %s\n' "$tok" "$st" >&4
		printf '\036%s %s\n' "$tok" "$st" >&3
	fi
	[ "$st" = 0 ] || [ "$on" = go ] || break
done
exec 3>&- 4>&-
if [ -n "$t1" ]; then
	if [ "$word" = end ]; then
		kill -s KILL "$t1" "$t2"
		wait "$t1" "$t2"
	else
		w=
		after "$D/drain" 2 kill -s KILL "$t1" "$t2" 5>&-
		wait "$t1"
		wait "$t2"
		never
	fi
fi
if [ "$word" = end ] && [ -z "$failed" ]; then
	rm -rf "$D"
else
	rm -rf "$D/s" "$D/o" "$D/e" "$D/drain" "$D/pid" "$D"/stop-*
fi
[ -z "$failed" ]
`

// stageScript stores the text of a large script, which is named by its argument.
const stageScript = `mkdir -p "$S" && cat >"$S/text-$1" && chmod 700 "$S/text-$1" || { rm -f "$S/text-$1"; exit 1; }
`

// stopScript ends a script. Its arguments are the session, the step and why: "stopped" or
// "timeout".
const stopScript = `d=$S/run/$1
[ ! -d "$d" ] || finish "$d" "$3" "$2"
`

// waitScript waits for a script whose contact was lost. Its arguments are the session, the step,
// and how much of its output and its errors is known; "-": all before the script. The script's
// end is a line behind its output, taken from the record.
const waitScript = `d=$S/run/$1 out=$3 err=$4
if [ "$out" = - ]; then
	out=0 err=0
	if step "$d" && [ "$r_id" = "$2" ]; then out=$r_out err=$r_err; fi
fi
while running "$d"; do sleep 1; done
[ ! -r "$d/out" ] || tail -c "+$((out+1))" "$d/out"
[ ! -r "$d/err" ] || tail -c "+$((err+1))" "$d/err" >&2
st=lost
[ ! -r "$S/scripts/$2" ] || read -r k i sum st title <"$S/scripts/$2"
printf '\036%s %s\n' "$tok" "${st:-lost}"
`
