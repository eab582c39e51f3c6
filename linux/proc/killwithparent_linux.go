package proc

import (
	"runtime"
	"syscall"
)

// KillWithParent makes the kernel kill a program that is started with a when this process is
// killed. The kernel ties the program to the thread that starts it, not to the process. So the
// goroutine keeps its thread until release is called: call it when the program has ended.
func KillWithParent(a *syscall.SysProcAttr) (release func()) {
	a.Pdeathsig = syscall.SIGKILL
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
