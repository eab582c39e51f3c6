// Command prisoner stands in qemu's place, as what a guest that has broken out of its machine would be, and looks for what it should not find. It says
// on standard error what it has found, a word and a number or a list a line, and ends.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// Set by the linker: files with secrets, separated by colons, and a key of a segment of shared memory.
var canaries, segment string

// main answers two questions as qemu would. For anything else it says what it has found, and
// exits with status 1.
func main() {
	open := descriptors()
	if words := strings.Join(os.Args[1:], " "); strings.HasSuffix(words, "--version") {
		fmt.Println("QEMU emulator version 99.1")
		return
	} else if words == "-L help" {
		return
	}
	say("descriptors", open)
	say("canaries", read())
	say("capabilities", capabilities())
	say("processes", others())
	say("writable", writable())
	say("segments", segments())
	name, _ := os.Hostname()
	say("hostname", []string{name})
	links, _ := os.ReadDir("/sys/class/net")
	say("sysfs", make([]string, len(links)))
	fmt.Fprintln(os.Stderr, "uid:", os.Getuid())
	bits, _, _ := syscall.RawSyscall(syscall.SYS_PRCTL, 39, 0, 0) // PR_GET_NO_NEW_PRIVS
	fmt.Fprintln(os.Stderr, "confined:", bits)
	var core syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_CORE, &core)
	fmt.Fprintln(os.Stderr, "core:", core.Max)
	os.Exit(1)
}

func say(what string, found []string) { fmt.Fprintf(os.Stderr, "%s: %d %q\n", what, len(found), found) }

// descriptors are those that it was born with, and no word of the command line is about.
func descriptors() (out []string) {
	words := strings.Join(os.Args, ",") + ","
	for fd := 3; fd < 1024; fd++ {
		flags, _, e := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if e == 0 && flags&syscall.FD_CLOEXEC == 0 && !strings.Contains(words, fmt.Sprintf("fd=%d,", fd)) {
			out = append(out, fmt.Sprint(fd))
		}
	}
	return out
}

// read are the canaries that can be read, or looked at.
func read() (out []string) {
	for _, path := range append(strings.Split(canaries, ":"), "/etc/passwd", "/etc/shadow", "/proc/1/environ", "/root", "/home", "/dev/mem", "/dev/sda", "/sys/kernel") {
		if f, err := os.Open(path); err == nil {
			f.Close()
			out = append(out, path)
		}
	}
	return out
}

// capabilities returns the process's three sets if any has a bit, and the bounding set.
func capabilities() (out []string) {
	var head = struct {
		version uint32
		pid     int32
	}{0x20080522, 0}
	var sets [6]uint32
	syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&sets)), 0)
	for _, s := range sets {
		if s != 0 {
			out = append(out, fmt.Sprintf("%x", sets))
			break
		}
	}
	for c := range 64 {
		if has, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, 23, uintptr(c), 0); e == 0 && has == 1 { // PR_CAPBSET_READ
			out = append(out, fmt.Sprint("bounding ", c))
		}
	}
	return out
}

// others are the processes that are there besides this one.
func others() (out []string) {
	for pid := 1; pid <= 1<<16; pid++ {
		_, _, own := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(pid), 0) // a thread
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH && own != 0 {
			out = append(out, fmt.Sprint(pid))
		}
	}
	if len(out) > 5 {
		out = append(out[:5:5], fmt.Sprintf("... %d", len(out)))
	}
	return out
}

// writable are paths in which it can make, or which it can open to write.
func writable() (out []string) {
	n := 0
	_ = filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		if n++; n > 20000 || len(out) > 5 {
			return filepath.SkipAll
		}
		if err != nil || path == "/proc" || path == "/sys" {
			return filepath.SkipDir
		}
		if d.IsDir() {
			name := filepath.Join(path, ".prisoner")
			if os.WriteFile(name, nil, 0o600) == nil {
				os.Remove(name)
				out = append(out, path)
			}
		} else if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() { // not the entry, which may be what is mounted over
			if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
				f.Close()
				out = append(out, path)
			}
		}
		return nil
	})
	return out
}

// segments are those of shared memory of other programs.
func segments() (out []string) {
	var key int
	fmt.Sscan(segment, &key)
	if _, _, e := syscall.RawSyscall(syscall.SYS_SHMGET, uintptr(key), 0, 0); e != syscall.ENOENT {
		out = append(out, e.Error())
	}
	return out
}
