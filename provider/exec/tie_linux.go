package exec

import "syscall"

// tie makes the kernel kill the executable when the thread that starts it ends.
func tie(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
