package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// canariesEnv tells the test in a mount name space of its own whose sandbox it is to look into, and
// where it is to make its world.
const canariesEnv = "HOSTLER_TEST_CANARIES"

// told are files that sandboxes have copies of, with lines that have to be missed.
var told = map[string]string{
	".gitconfig":          "[user]\n\tname = You\n[credential]\n\thelper = !echo CANARY\n[http]\n\textraheader = AUTHORIZATION: basic CANARY\n[url \"https://CANARY@example.com/\"]\n\tinsteadOf = https://example.com/\n",
	".cargo/config.toml":  "[build]\njobs = 2\n[registry]\ntoken = \"CANARY\"\n[registries.mine]\nindex = \"https://you:CANARY@example.com/\"\n",
	".ccache/ccache.conf": "max_size = 1G\nremote_storage = http://you:CANARY@example.com/|layout=bazel\n",
	".config/go/env":      "GOFLAGS=-mod=mod\nGOPROXY=https://you:CANARY@example.com\n",
}

// TestCanaries: of some 300 files in which some 190 programs keep what nobody else is to know, for
// all the machine to read, none is seen in a sandbox, by whichever of three mounts of its file
// system and two in places that are shown. For root and for an ordinary user, through the program.
func TestCanaries(t *testing.T) {
	if text := os.Getenv(canariesEnv); text != "" {
		uid, base, _ := strings.Cut(text, ":")
		canaries(t, uid, base)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("TestCanaries: only root mounts a machine full of secrets")
	}
	programs, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	sandboxes(t)
	for _, uid := range []int{0, somebody} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestCanaries$", "-test.v")
		cmd.Env = append(os.Environ(), "HOSTLER_TEST_PROGRAMS="+programs, canariesEnv+"="+strconv.Itoa(uid)+":"+shownDir(t))
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("user %d: %v\n%s", uid, err, out)
		}
	}
}

func canaries(t *testing.T, uid, base string) {
	home := filepath.Join(base, "you")
	project := filepath.Join(home, "project")
	run, err := socketDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	script := strings.NewReplacer("BASE", base, "PROJECT", project, "RUN", run, "UID", uid).Replace(`set -e
mount --make-rprivate /
cp -a /etc BASE/etc
echo you:x:UID:UID::BASE/you:/bin/sh >>BASE/etc/passwd
echo other:x:4321:4321::BASE/other:/bin/sh >>BASE/etc/passwd
mkdir -p PROJECT BASE/other BASE/srv/data BASE/mnt/all BASE/opt/go-home BASE/opt/node-all BASE/lib
for dir in etc opt srv mnt; do mount --bind BASE/$dir /$dir; done
mount --bind BASE/lib /var/lib
chown UID:UID RUN
`)
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("err = %v\nout = %s; want no error", err, out)
	}
	defer func() { // the base can be removed when nothing of it is mounted
		_ = exec.Command(
			"umount", "-l", "/var/lib", "/mnt/all", "/opt/go-home", "/opt/node-all", "/srv/data", "/etc", "/opt", "/srv",
			"/mnt",
		).Run()
	}()
	planted := plantSecrets(t, base, home)
	for from, to := range map[string]string{home: "/srv/data", "/": "/mnt/all"} {
		if out, err := exec.Command(
			"sh", "-c",
			"mount --bind "+from+" "+to+" && mount --bind "+from+" "+map[string]string{home: "/opt/go-home", "/": "/opt/node-all"}[from],
		).CombinedOutput(); err != nil {
			t.Fatalf("err = %v\nout = %s; want no error", err, out)
		}
	}
	var ways []string
	for _, p := range planted {
		real := p
		for _, dir := range []string{"/etc", "/opt", "/srv"} {
			if strings.HasPrefix(p, dir+"/") {
				real = base + p
			}
		}
		if rest, ok := strings.CutPrefix(p, "/var/lib/"); ok {
			real = base + "/lib/" + rest
		}
		ways = append(ways, p, real, "/mnt/all"+real, "/opt/node-all"+real)
		if rest, ok := strings.CutPrefix(p, home); ok {
			ways = append(ways, "/srv/data"+rest, "/opt/go-home"+rest)
		}
	}
	for _, p := range ways { // else nothing is proved
		if text, err := os.ReadFile(p); err != nil || !strings.Contains(string(text), "CANARY") {
			t.Errorf("%s is not readable outside: %v", p, err)
		}
	}
	look := `word=CAN; word=${word}ARY
while IFS= read -r p; do if grep -qs $word "$p"; then echo "READ $p"; fi; done <ways
grep -rIls $word /etc /opt /srv /mnt /media /home /var /root /run /tmp /usr/local ~ | sed 's/^/FOUND /'
git config user.name; cat ~/.cargo/config.toml ~/.config/go/env
`
	err = errors.Join(
		os.WriteFile(filepath.Join(project, "ways"), []byte(strings.Join(ways, "\n")+"\n"), 0o644),
		os.WriteFile(filepath.Join(project, "look"), []byte(look), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chown", "-R", uid+":"+uid, home).CombinedOutput(); err != nil {
		t.Fatalf("err = %v\nout = %s; want no error", err, out)
	}
	cmd := exec.Command(lookIn(plainPath(t), "hostler"), "run", "sandbox", "--", "sh", "look")
	cmd.Dir = project
	cmd.Env = []string{"HOME=" + home, "PATH=" + plainPath(t), "XDG_RUNTIME_DIR=" + run}
	id, _ := strconv.Atoi(uid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}}
	out, err := cmd.CombinedOutput()
	discardAs(t, cmd)
	if err != nil {
		t.Fatalf("err = %v\nout = %s; want no error", err, out)
	}
	if n := strings.Count(string(out), "READ ") + strings.Count(string(out), "FOUND "); n > 0 || strings.Contains(string(out), "CANARY") {
		t.Errorf("of %d files at %d places %d are read:\n%s", len(planted), len(ways), n, out)
	}
	// what is no secret of these files is there
	for _, want := range []string{"You", "jobs = 2", "GOFLAGS=-mod=mod"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	t.Logf("%d files at %d places", len(planted), len(ways))
}

// discardAs ends what a command of hostler's has left.
func discardAs(t *testing.T, like *exec.Cmd) {
	for _, words := range [][]string{{"release", "--all", "--wait"}, {"keeper", "stop"}} {
		cmd := exec.Command(like.Path, words...)
		cmd.Env, cmd.Dir, cmd.SysProcAttr = like.Env, "/", like.SysProcAttr
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("%v: %v %s", words, err, out)
		}
	}
}

// plantSecrets writes the secrets, and returns where they are.
func plantSecrets(t *testing.T, base, home string) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/canaries")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	write := func(at, text string) {
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		if err == nil {
			if err = os.Remove(at); errors.Is(err, os.ErrNotExist) {
				err = nil
			}
		}
		if err == nil {
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, at)
	}
	word := regexp.MustCompile(`"[^"]*"|\S+`)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, p := range word.FindAllString(line, -1)[1:] {
			if p = strings.Trim(p, `"`); !filepath.IsAbs(p) {
				p = filepath.Join(home, p)
			}
			if fi, err := os.Stat(p); err == nil && fi.IsDir() {
				p = filepath.Join(p, "file")
			}
			write(p, fmt.Sprintf("CANARY-%d\n", len(out)))
		}
	}
	for name, text := range told {
		write(filepath.Join(home, name), text)
	}
	write(filepath.Join(base, "other", "letter"), "CANARY of another's\n")
	return out
}
