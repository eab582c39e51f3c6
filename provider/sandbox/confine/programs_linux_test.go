package confine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/provider/sandbox/confine"
)

// What all threads are left with, and what they start. The capabilities are written out, so that a
// change shows here.
func TestLeft(t *testing.T) {
	for _, u := range users(t) {
		t.Run(u.name, func(t *testing.T) {
			// CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE
			// SYS_CHROOT AUDIT_WRITE SETFCAP
			const kept = "a00405fb"
			same := func(what, got string, words ...string) {
				t.Helper()
				if strings.Contains(got, "\n") {
					t.Errorf("%s: threads differ:\n%s", what, got)
				}
				for _, w := range words {
					if !strings.Contains(" "+got+" ", " "+w+" ") {
						t.Errorf("%s: %q is not in %s", what, w, got)
					}
				}
			}
			r := try(t, u, confine.Options{}, "status", "inherit", "run /mnt/plain check status")
			for _, what := range []string{"threads", "status", "inherit"} {
				same(what, r[what], "CapPrm:"+kept, "CapEff:"+kept, "CapAmb:", "NoNewPrivs:1", "Seccomp:2")
			}
			same("status", r["status"], "CapInh:")

			// Each left out: it shows on all threads, and the others hold.
			r = try(t, u, confine.Options{Without: []string{confine.Seccomp}}, "status")
			same("threads without seccomp", r["threads"], "CapPrm:"+kept, "NoNewPrivs:1", "Seccomp:")
			same("without seccomp", r["status"], "CapPrm:"+kept, "NoNewPrivs:1", "Seccomp:")
			r = try(t, u, confine.Options{Without: []string{confine.Capabilities}}, "status")
			same("without capabilities", r["status"], "CapPrm:1ffffffffff", "NoNewPrivs:1", "Seccomp:2")
			r = try(t, u, confine.Options{Without: []string{confine.NoNewPrivs}}, "status", "inherit")
			same("threads without no-new-privs", r["threads"], "CapPrm:"+kept, "CapBnd:"+kept, "NoNewPrivs:", "Seccomp:2")
			same("without no-new-privs", r["status"], "CapPrm:"+kept, "CapBnd:"+kept, "NoNewPrivs:")
			if r["inherit"] != "EPERM" && r["inherit"] != "operation not permitted" {
				t.Errorf("inherit without no-new-privs: %s", r["inherit"])
			}
			// Nothing holds it but no-new-privs where the bounding set is whole.
			r = try(t, u, confine.Options{Without: []string{confine.NoNewPrivs, confine.Capabilities}}, "inherit")
			same("without both", r["inherit"], "CapPrm:1ffffffffff")

			r = try(t, u, confine.Options{NetRaw: true}, "status", "AF_PACKET")
			same("NetRaw", r["status"], "CapEff:a00425fb")
			if r["AF_PACKET"] != "ok" {
				t.Errorf("NetRaw: AF_PACKET: %s", r["AF_PACKET"])
			}
		})
	}
}

// A program with the setuid bit, or with capabilities, started by an ordinary user inside, gets
// nothing by it.
func TestNoNewPrivileges(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("confine: needs root to map more than one user")
	}
	u := as{"root", 0, 65536}
	r := try(t, u, confine.Options{}, "as-1000 setuid", "as-1000 filecap", "as-1000 plain")
	for _, name := range []string{"setuid", "filecap", "plain"} {
		if got := r["as-1000 "+name]; !strings.Contains(got, "euid:1000") || !strings.Contains(got, "CapEff: ") {
			t.Errorf(`%s: got = %s; want got with "euid:1000" and got with "CapEff: "`, name, got)
		}
	}
	r = try(t, u, confine.Options{Without: []string{confine.NoNewPrivs}}, "as-1000 setuid", "as-1000 filecap")
	if got := r["as-1000 setuid"]; !strings.Contains(got, "euid:0") {
		t.Errorf("setuid without no-new-privs: %s", got)
	}
	if got := r["as-1000 filecap"]; !strings.Contains(got, "CapEff:400 ") {
		t.Errorf("filecap without no-new-privs: %s", got)
	}
}

// Programs of another architecture are ended at their first system call.
func TestForeignArchitecture(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("confine: there is no foreign program for", runtime.GOARCH)
	}
	hello := filepath.Join(filepath.Dir(probe(t)), "hello")
	if out, err := exec.Command(hello).CombinedOutput(); err != nil {
		t.Skipf("confine: this kernel runs no 32-bit programs: %v %s", err, out)
	}
	for _, u := range users(t) {
		r := try(t, u, confine.Options{}, "run "+hello)
		if got := r["run "+hello]; !strings.Contains(got, "bad system call") {
			t.Errorf(`%s: got = %s; want got with "bad system call"`, u.name, got)
		}
		r = try(t, u, confine.Options{Without: []string{confine.Seccomp}}, "run "+hello)
		if got := r["run "+hello]; got != "hello\n" {
			t.Errorf("%s without seccomp: %s", u.name, got)
		}
	}
}

// What people do all day still works.
func TestProgramsRun(t *testing.T) {
	all := []struct{ program, args, want string }{
		{"/bin/sh", "-c echo$IFS'one'|cat;(exit$IFS'0')&wait", "one"},
		{"/usr/bin/python3", "-c import\tthreading,subprocess;[t.start()\tfor\tt\tin\t[threading.Thread(target=print," +
			"args=(i,))\tfor\ti\tin\trange(9)]];" +
			"print(subprocess.run(['true']))", "returncode=0"},
		{"/usr/bin/node", "-e setTimeout(()=>console.log(require('child_process').execSync('echo$IFS\"two\"').toString()),20)", "two"},
		{"/usr/bin/perl", "-e print\tfork?wait:exit", ""},
		{"/usr/bin/apt-get", "--version", "apt "},
		{"/usr/bin/strace", "-f -e trace=execve sh -c true;true", "exited with 0"},
		{"/usr/bin/gdb", "-q -batch -ex run /bin/true", "exited normally"},
		{"/usr/bin/setarch", "-R true", ""},
		{"/usr/bin/git", "init -q /mnt/repository", ""},
		{"/usr/bin/tar", "-cf /mnt/x.tar /etc/passwd", ""},
		{"/usr/bin/openssl", "rand -hex 4", ""},
		{"/usr/sbin/ip", "address", "lo"},
		{"/usr/bin/chown", "0:0 /mnt/repository", ""},
		{"/mnt/plain", "check status", "Seccomp"},
	}
	for _, u := range users(t) {
		var checks []string
		for _, p := range all {
			if _, err := os.Stat(p.program); err == nil || strings.HasPrefix(p.program, "/mnt/") {
				checks = append(checks, "run "+p.program+" "+p.args)
			}
		}
		r := try(t, u, confine.Options{}, checks...)
		for _, p := range all {
			got, ok := r["run "+p.program+" "+p.args]
			if ok && (strings.HasPrefix(got, "error") || !strings.Contains(got, p.want)) {
				t.Errorf(
					"%s: p.program = %s p.args = %s: got = %s"+
						`; want !ok or !strings.HasPrefix(got, "error") and got with p.want`,
					u.name, p.program, p.args, got,
				)
			}
		}
	}
}

// A compiler: hundreds of processes, threads, mappings and locks.
func TestGoBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("confine: builds the runtime of Go")
	}
	compiler, err := exec.LookPath("go")
	if err != nil {
		t.Skip("confine: ", err)
	}
	build := "run " + compiler + " run /mnt/three.go"
	u := users(t)[0]
	if got := try(t, u, confine.Options{}, build)[build]; !strings.HasSuffix(got, "three\n") {
		t.Errorf("%s: got = %s; want strings.HasSuffix(got, \"three\\n\")", u.name, got)
	}
}

// With Nesting, a sandbox inside of the sandbox can be made, and its own mounts; and the rest is
// still refused.
func TestNesting(t *testing.T) {
	for _, u := range users(t) {
		r := try(t, u, confine.Options{Nesting: true}, "mount", "new user", "new uts", "clone3", "fsopen", "sethostname", "AF_PACKET",
			"keyctl", "io_uring", "TIOCSTI", "/proc/1/environ", "ptrace 1", "/proc/1/root/etc", "syslog")
		for check, want := range map[string]string{"mount": "ok", "new user": "ok", "new uts": "ok", "clone3": "EINVAL", "fsopen": "ok",
			"sethostname": "ok", "AF_PACKET": "ok", "keyctl": "ENOSYS", "io_uring": "EPERM", "TIOCSTI": "EPERM",
			"/proc/1/environ": "EACCES",
			"ptrace 1":        "EPERM", "/proc/1/root/etc": "EACCES", "syslog": "EPERM"} {
			if r[check] != want {
				t.Errorf("%s: %s: %s, want %s", u.name, check, r[check], want)
			}
		}
		if unshare, err := exec.LookPath("unshare"); err == nil {
			inner := "run " + unshare + " -Urmp --fork --mount-proc sh -c mount$IFS-t$IFS'tmpfs'$IFS'x'$IFS/mnt/over&&echo$IFS'inner'"
			if got := try(t, u, confine.Options{Nesting: true}, inner)[inner]; got != "inner\n" {
				t.Errorf("%s: unshare: %s", u.name, got)
			}
			if got := try(t, u, confine.Options{}, inner)[inner]; !strings.Contains(got, "Operation not permitted") {
				t.Errorf("%s: unshare without Nesting: %s", u.name, got)
			}
		}
	}
}

func TestUnknownDefence(t *testing.T) {
	if err := confine.Self(confine.Options{Without: []string{"everything"}}); err == nil {
		t.Error("an unknown defence is left out without an error")
	}
}
