//go:build linux

package guest

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestIdentityWire(t *testing.T) {
	want := Identity{
		Hostname: "web-1", MachineID: strings.Repeat("ab", 16), Time: time.Unix(1700000000, 42),
		Entropy: []byte{1, 0, 2}, HostKey: []byte("private\n"), HostPub: []byte("public\n"),
	}
	var got Identity
	if err := got.decode(want.encode()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got = %+v, err = %v; want no error and got == want", got, err)
	}
	if err := got.decode(append(want.encode(), frame([]byte("of a later version"))...)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with a field more: %+v, %v", got, err)
	}
}

// TestIdentify speaks with a guest that refuses, one that answers too much, and one that goes.
func TestIdentify(t *testing.T) {
	for answer, words := range map[string]string{
		string(frame(nil)): "", string(frame([]byte("no\nroom"))): `"no\nroom"`, "\xff\xff\xff\xff": "message of",
		"\x00\x00": "EOF",
	} {
		a, b := net.Pipe()
		go func() {
			_, _ = b.Read(make([]byte, 1<<16))
			_, _ = b.Write([]byte(answer))
			_ = b.Close()
		}()
		err := Identify(a, Identity{Hostname: "x"})
		if (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf(`%q: err = %v; want (err == nil) == (words == "") and (no error or err.Error() with words)`, answer, err)
		}
		_ = a.Close()
	}
}

func TestGreet(t *testing.T) {
	if err := Greet(strings.NewReader(greeting)); err != nil {
		t.Error(err)
	}
	for _, s := range []string{"", greeting[:5], strings.Repeat("x", len(greeting)), "hostler's guest\x02"} {
		if Greet(strings.NewReader(s)) == nil {
			t.Errorf("%q is taken for a greeting", s)
		}
	}
}

func TestRename(t *testing.T) {
	const hosts = "127.0.0.1 localhost\n127.0.1.1 lab lab.example # lab\n::1 lab\n10.0.0.1 lab\n127.0.1.2 laboratory\n"
	want := strings.Replace(hosts, "127.0.1.1 lab ", "127.0.1.1 web-1 ", 1)
	if got := string(rename([]byte(hosts), "lab", "web-1")); got != want {
		t.Errorf("got\n%s", got)
	}
}

// TestHostKey looks that no other key is left, and that what is no sshd is left alone.
func TestHostKey(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"sshd_config", "ssh_host_rsa_key", "ssh_host_rsa_key.pub", "ssh_host_ed25519_key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pid := filepath.Join(dir, "pid")
	if err := os.WriteFile(pid, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := Identity{HostKey: []byte("new"), HostPub: []byte("pub")}
	if err := id.hostKey(dir, pid); err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob(filepath.Join(dir, "ssh_host_*"))
	if len(all) != 2 {
		t.Errorf("left are %v", all)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "ssh_host_ed25519_key")); string(b) != "new" {
		t.Errorf("the key is %q", b)
	}
	if fi, err := os.Stat(filepath.Join(dir, "ssh_host_ed25519_key")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", fi.Mode(), err)
	}
	empty := t.TempDir() // no sshd there
	if err := id.hostKey(empty, pid); err != nil {
		t.Fatal(err)
	}
	if all, _ := os.ReadDir(empty); len(all) != 0 {
		t.Errorf("where there is no sshd: %v", all)
	}
}

func FuzzIdentity(f *testing.F) {
	f.Add(Identity{Hostname: "x", Time: time.Now()}.encode())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var id Identity
		if id.decode(b) == nil {
			var again Identity
			if err := again.decode(id.encode()); err != nil || !bytes.Equal(again.Entropy, id.Entropy) || again.Hostname != id.Hostname {
				t.Errorf("%v: %+v became %+v", err, id, again)
			}
		}
	})
}
