package strategy

import "syscall"

// tie makes a program end with the thread that starts it.
func tie(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
