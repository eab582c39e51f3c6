package guest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// take gives the machine with its root at root this identity. It does everything by itself, as the
// start of a program takes longer than all of this.
func (id Identity) take(root string) error {
	var errs []error
	try := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	at := func(name string) string { return filepath.Join(root, name) }
	if len(id.Entropy) > 0 { // first, so that later random numbers are this machine's own
		try(stir(id.Entropy))
		try(rewrite(at("/var/lib/systemd/random-seed"), id.Entropy))
	}
	if !id.Time.IsZero() {
		tv := unix.NsecToTimeval(id.Time.UnixNano())
		try(os.NewSyscallError("settimeofday", unix.Settimeofday(&tv)))
	}
	if id.Hostname != "" {
		old, _ := os.Hostname()
		try(os.NewSyscallError("sethostname", unix.Sethostname([]byte(id.Hostname))))
		try(put(at("/etc/hostname"), []byte(id.Hostname+"\n"), 0o644))
		if b, err := os.ReadFile(at("/etc/hosts")); err == nil && old != "" {
			if now := rename(b, old, id.Hostname); !bytes.Equal(now, b) {
				try(put(at("/etc/hosts"), now, 0o644))
			}
		}
	}
	if id.MachineID != "" {
		try(put(at("/etc/machine-id"), []byte(id.MachineID+"\n"), 0o444))
		try(rewrite(at("/var/lib/dbus/machine-id"), []byte(id.MachineID+"\n")))
	}
	if len(id.HostKey) > 0 {
		try(id.hostKey(at("/etc/ssh"), at("/run/sshd.pid")))
	}
	return errors.Join(errs...)
}

// hostKey replaces all of sshd's keys, where there are any, and has a running sshd read the new
// one.
func (id Identity) hostKey(dir, pidFile string) error {
	old, _ := filepath.Glob(filepath.Join(dir, "ssh_host_*_key*"))
	if _, err := os.Stat(filepath.Join(dir, "sshd_config")); err != nil && len(old) == 0 {
		return nil
	}
	name := filepath.Join(dir, "ssh_host_ed25519_key")
	for path, what := range map[string]struct {
		data []byte
		mode fs.FileMode
	}{name: {id.HostKey, 0o600}, name + ".pub": {id.HostPub, 0o644}} {
		if err := os.WriteFile(path+".new", what.data, what.mode); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	for _, path := range old {
		if path != name && path != name+".pub" {
			_ = os.Remove(path)
		}
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		return nil // it does not run yet
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	comm, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err == nil && pid > 1 && strings.TrimSpace(string(comm)) == "sshd" {
		return reload(pid)
	}
	return nil
}

// reload makes sshd read its key. sshd starts anew for that, which must not keep the machine's user
// waiting, so it gets the lowest priority for a while, among processes and sessions. A client that
// connects meanwhile waits, and sees the new key.
func reload(pid int) error {
	session := "/proc/" + strconv.Itoa(pid) + "/autogroup"
	// as the kernel has it: 20 less the niceness
	was, err := syscall.Getpriority(syscall.PRIO_PROCESS, pid)
	if err == nil && syscall.Setpriority(syscall.PRIO_PROCESS, pid, 19) == nil {
		_ = os.WriteFile(session, []byte("19"), 0)
		time.AfterFunc(2*time.Second, func() {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, pid, 20-was)
			_ = os.WriteFile(session, []byte("0"), 0)
		})
	}
	return syscall.Kill(pid, syscall.SIGHUP)
}

// rewrite replaces a file's content, if the file exists.
func rewrite(path string, b []byte) error {
	if fi, err := os.Lstat(path); err != nil || !fi.Mode().IsRegular() {
		return nil
	}
	return put(path, b, 0o600)
}

// put sets a file's content to b. It writes over the old content: file systems write a file that
// was emptied to the disk at once.
func put(path string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		var fi fs.FileInfo
		if fi, err = f.Stat(); err == nil && fi.Size() > int64(len(b)) {
			err = f.Truncate(int64(len(b)))
		}
	}
	return errors.Join(err, f.Close())
}

// rename replaces a host's name by another, where it stands as a word of its own.
func rename(hosts []byte, old, name string) []byte {
	var out []byte
	for line := range bytes.Lines(hosts) {
		if text, _, _ := bytes.Cut(line, []byte("#")); bytes.HasPrefix(text, []byte("127.")) &&
			!bytes.HasPrefix(text, []byte("127.0.0.1")) {
			for _, word := range strings.Fields(string(text))[1:] {
				if word == old {
					line = bytes.Replace(line, []byte(old), []byte(name), 1)
				}
			}
		}
		out = append(out, line...)
	}
	return out
}

// stir mixes secret randomness into the kernel's pool, counts it as entropy, and makes the kernel
// draw from it from now on.
func stir(b []byte) error {
	f, err := os.OpenFile("/dev/urandom", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	// struct rand_pool_info: bits, bytes, data
	info := binary.NativeEndian.AppendUint32(nil, uint32(8*len(b)))
	info = binary.NativeEndian.AppendUint32(info, uint32(len(b)))
	info = append(info, b...)
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&info[0]))); e != 0 {
		return os.NewSyscallError("RNDADDENTROPY", e)
	}
	// RNDRESEEDCRNG, of Linux 4.14; older kernels draw from the pool each time
	const reseed = 0x5207
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), reseed, 0)
	return nil
}
