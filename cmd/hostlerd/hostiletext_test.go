package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
)

// hostileText is what somebody sends who wants the terminal: a cleared screen, a title, the
// clipboard, a line that hides what stands before it, text that runs backwards, and C1 as a byte
// and as a character.
const hostileText = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;aGk=\x07ok\rfine\u202egpj\u2066\u2028\u009b31m\x9b31m\x7f"

// drives finds what a terminal would obey or not show in what a command printed.
func drives(text string) string {
	for i, r := range text {
		_, n := utf8.DecodeRuneInString(text[i:])
		if r != '\n' && r != '\t' && (!unicode.IsPrint(r) || r == utf8.RuneError && n == 1) {
			return text[max(i-20, 0):min(i+20, len(text))]
		}
	}
	return ""
}

// hostileSSH is an ssh host that answers each command with hostile text as its error, on loopback.
func hostileSSH(t *testing.T) (address string) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	conf := &ssh.ServerConfig{NoClientAuth: true}
	conf.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go hostileHost(c, conf)
		}
	}()
	return l.Addr().String()
}

func hostileHost(c net.Conn, conf *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(c, conf)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for ch := range channels {
		session, requests, err := ch.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "exec" || r.Type == "env", nil)
				if r.Type == "exec" {
					_, _ = io.WriteString(session.Stderr(), "sh: "+hostileText+": No such file\r\n")
					_, _ = session.SendRequest("exit-status", false, []byte{0, 0, 0, 127})
					_ = session.Close()
				}
			}
		}()
	}
}

// TestHostileHost has an ssh host answer with what drives terminals: no error, name, list or
// document of ours hands it on.
func TestHostileHost(t *testing.T) {
	m := newMachine(t)
	host, port, _ := net.SplitHostPort(hostileSSH(t))
	config := filepath.Join(m.dir, "ssh_config")
	text := "Host evil\n HostName " + host + "\n Port " + port + "\n User root\n StrictHostKeyChecking no\n UserKnownHostsFile " + filepath.Join(m.dir, "known") + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "SSH_AUTH_SOCK=")
	m.source("web", "type = ssh\nhosts = evil\n[ssh]\nconfig-file = "+config+"\ntimeout = 5s\n")
	told := false
	for _, args := range [][]string{
		{"acquire", "-s", "web"},
		{"cp", "web-evil:/there", "here"},
		{"cp", "web-evil:/there", "here", "--json"},
		{"run", "web-evil", "--sync", "--", "nosuch"},
		{"status", "-v"}, {"status", "--json"},
		{"events"},
		{"doctor", "web-evil"},
		{"runs"}, {"runs", "show", "last"},
		{"release", "web-evil"},
	} {
		out, errs, _ := m.run(args...)
		if bad := drives(out + errs); bad != "" {
			t.Errorf("hostler %q hands on %q", args, bad)
		}
		told = told || strings.Contains(out+errs, `\x1b[2J`)
	}
	if !told {
		t.Error("no command told what the host said, so none was asked for it")
	}
}

// TestHostileSource has a source of an outside executable answer with such errors.
func TestHostileSource(t *testing.T) {
	m := newMachine(t)
	dir := filepath.Join(m.dir, "bin")
	answer := strings.NewReplacer("\x1b", `\u001b`, "\x07", `\u0007`, "\r", `\r`, "\x7f", `\u007f`, "\x9b", ``).Replace(hostileText)
	program := "#!/bin/sh\nprintf '%s\\n' '" + `{"error":{"kind":"failed","message":"` + answer + `","hint":"` + answer + `"}}` + "'\n"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hostler-source-evil"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "PATH="+dir+":"+os.Getenv("PATH"))
	m.source("web", "type = evil\n[evil]\na = b\n")
	for _, args := range [][]string{
		{"acquire", "-s", "web"}, {"status", "-v"}, {"source", "list"}, {"doctor"}, {"acquire", "-s", "web", "--json"},
	} {
		out, errs, _ := m.run(args...)
		if bad := drives(out + errs); bad != "" {
			t.Errorf("hostler %q hands on %q", args, bad)
		}
	}
}

// TestHostileTests has the names of tests that failed, and what was written, come from who wants
// the terminal: the run's own output is exact, all that hostler says of it is seen, and a terminal
// has the record with its colours alone.
func TestHostileTests(t *testing.T) {
	m := newMachine(t)
	report := `<testsuite><testcase name="a&#x202e;gpj&#x2066;&#x9b;31m"><failure message="m&#x2028;&#x7f;&#x61c;"/></testcase></testsuite>`
	if err := os.WriteFile(filepath.Join(m.work, "made.xml"), []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	written := "\x1b[31mred\x1b[0m\x1b[2J\u202eabc\x9b\n"
	if err := os.WriteFile(filepath.Join(m.work, "written"), []byte(written), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, _ := m.run("run", "local", "--junit", "*.xml", "--", "sh", "-c", "touch made.xml; cat written; exit 1")
	if out != written {
		t.Errorf("the command wrote %q, and %q came", written, out)
	}
	if !strings.Contains(errs, `a\u202egpj\u2066\u009b31m`) || drives(errs) != "" {
		t.Errorf("the test that failed: %q", errs)
	}
	if shown := m.must("runs", "show", "last"); drives(shown) != "" || !strings.Contains(shown, `m\u2028\x7f\u061c`) {
		t.Errorf("runs show: %q", shown)
	}
	if logged := m.must("logs", "last"); logged != written {
		t.Errorf("logs into a pipe: %q", logged)
	}
	if got, want := onTerminal(t, m.command("logs", "last")), "\x1b[31mred\x1b[0m"+`\x1b[2J\u202eabc\x9b`; !strings.Contains(got, want) ||
		strings.Contains(got, "\x1b[2J") {
		t.Errorf("logs on a terminal: %q", got)
	}
	if got := onTerminal(t, m.command("logs", "--raw", "last")); !strings.Contains(got, strings.TrimSpace(written)) {
		t.Errorf("logs --raw on a terminal: %q", got)
	}
}

// onTerminal is what a command writes to a terminal.
func onTerminal(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	out, _ := io.ReadAll(terminal) // a terminal whose program has gone gives an error
	if err := cmd.Wait(); err != nil {
		t.Errorf("%q: err = %v; want no error", cmd.Args, err)
	}
	return string(out)
}

// TestFprintfAlone: what is printed for people goes through term.Printf, which has nothing of it
// drive a terminal.
func TestFprintfAlone(t *testing.T) {
	direct := regexp.MustCompile(`fmt\.Fprint\w*\((\w+\.)*(out|errs|Out|Err), |fmt\.Print`)
	files, _ := filepath.Glob("*.go")
	err := filepath.WalkDir("../../cli", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files, %v; want those of the command line", len(files), err)
	}
	for _, name := range files {
		// docs.go prints what is part of the program
		if strings.HasSuffix(name, "_test.go") || filepath.Base(name) == "docs.go" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			if direct.MatchString(line) {
				t.Errorf(
					"%s:n + 1 = %d: strings.TrimSpace(line) = %s"+
						"; want !direct.MatchString(line)",
					name, n+1, strings.TrimSpace(line),
				)
			}
		}
	}
}
