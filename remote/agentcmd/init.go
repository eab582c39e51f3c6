package agentcmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// runInit is the verb init: it starts a command, hands signals on to it, and reaps orphans until
// the command has ended. Its status is the command's, or 128 and the signal's number where a
// signal ended it.
func runInit(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return reportError(invalid("init takes a command"))
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostler-agent:", err)
		if errors.Is(err, fs.ErrPermission) {
			return 126
		}
		return 127
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals) // all, and those that the runtime sends itself (SIGURG) come to nothing
	p, err := os.StartProcess(path, args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostler-agent:", err)
		return 126
	}
	ended := make(chan int, 1)
	go reapUntil(p.Pid, ended)
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGCHLD && s != syscall.SIGURG {
				_ = syscall.Kill(p.Pid, s.(syscall.Signal))
			}
		case status := <-ended:
			return status
		}
	}
}

// reapUntil waits for children, our own and those whose parents have ended, and tells the status
// of the one that counts.
func reapUntil(pid int, ended chan<- int) {
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			ended <- 1 // it cannot be: our command is not ended yet
			return
		case got == pid && ws.Exited():
			ended <- ws.ExitStatus()
			return
		case got == pid && ws.Signaled():
			ended <- 128 + int(ws.Signal())
			return
		}
	}
}
