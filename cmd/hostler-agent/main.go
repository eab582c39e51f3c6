// Command hostler-agent is hostler's program inside a computer. It does what `hostler agent` does,
// and nothing else, so it is small, starts fast and needs little memory. See docs/agent.md.
package main

import (
	"os"

	"github.com/hostler-project/hostler/provider/sandbox/enter"
	"github.com/hostler-project/hostler/provider/sandbox/watch"
	"github.com/hostler-project/hostler/provider/vm/guest"
	"github.com/hostler-project/hostler/provider/vm/jail"
	"github.com/hostler-project/hostler/remote/agentcmd"
)

// version is set by the linker; see the Makefile.
var version = "unknown"

func main() { os.Exit(agentcmd.Main(os.Args[1:], version, verbs)) }

// verbs are the verbs of other packages.
var verbs = map[string]agentcmd.Verb{
	enter.Word: enter.Main, watch.Word: watch.Main, guest.BootWord: guest.BootMain,
	guest.ServeWord: guest.ServeMain, jail.Word: jail.Main,
}
