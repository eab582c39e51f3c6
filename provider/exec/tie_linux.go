package exec

import "syscall"

// tie makes the executable end with the thread that starts it.
func tie(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
