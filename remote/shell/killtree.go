package shell

// CommandMark is the environment variable whose value is one command's alone, by which its
// descendants are found.
const CommandMark = "HOSTLER_COMMAND_MARK"

// KillTree sends the signal $1 to every process that has $2 in the environment that it was started
// with, and looks for them again until there are none, ten times at most. It has no single quotes.
// Where there is no /proc nothing is found.
const KillTree = listMarked + `for i in 1 2 3 4 5 6 7 8 9 10;do
` + killMarked + `done`

// SignalTree is KillTree that looks once.
const SignalTree = listMarked + `for i in 1;do
` + killMarked + `done`

const (
	listMarked = `z=;[ "$(printf "a\000b\000"|grep -czxF b 2>/dev/null)" = 1 ]&&z=1
`
	killMarked = `if [ -n "$z" ];then l=$(grep -slzxF -- "$2" /proc/[0-9]*/environ)
else l=$(for f in /proc/[0-9]*/environ;do { tr "\000" "\n" <$f|grep -qxF -- "$2"&&echo $f;} 2>/dev/null;done);fi
[ -n "$l" ]||break
for f in $l;do f=${f#/proc/};kill -$1 ${f%/environ} 2>/dev/null;done
`
)
