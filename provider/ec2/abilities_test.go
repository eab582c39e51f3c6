package ec2_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// connect waits until an instance can be logged in to.
func connect(t *testing.T, p *ec2.Provider, id compute.ID) compute.Conn {
	t.Helper()
	var conn compute.Conn
	until(t, "Connect "+string(id), func() (err error) {
		conn, err = p.Connect(t.Context(), id)
		if err != nil && !errors.Is(err, compute.ErrNotReady) {
			t.Fatal(err)
		}
		return err
	})
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func says(t *testing.T, conn compute.Conn, words ...string) string {
	t.Helper()
	var out bytes.Buffer
	if exit, err := conn.Run(t.Context(), &compute.Command{Args: words, Stdout: &out}); err != nil || exit.Status() != 0 {
		t.Fatalf("%q: exit = %+v, err = %v; want no error and exit.Status() == 0", words, exit, err)
	}
	return out.String()
}

func TestStopAndStart(t *testing.T) {
	c, url, port := inhabited(t, ec2test.Options{Stop: 100 * time.Millisecond})
	p := open(t, url, func(o *ec2.Options) { o.Port, o.StopBy, o.Types = port, "hibernate", []string{"m5.large"} })
	create(t, p, "suite-1")
	connect(t, p, "suite-1").Close()
	for range 2 {
		if err := p.Stop(t.Context(), "suite-1", time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Connect(t.Context(), "suite-1"); !errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrNotReady) {
		t.Errorf("Connect to one that is stopped: %v", err)
	}
	if err := p.Check(t.Context(), "suite-1"); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("Check of one that is stopped: %v", err)
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("List with one that is stopped: %v, %v", all, err)
	}
	for range 2 {
		if err := p.Start(t.Context(), "suite-1"); err != nil {
			t.Fatal(err)
		}
	}
	if out := says(t, connect(t, p, "suite-1"), "echo", "again"); out != "again\n" {
		t.Errorf("after its start it says %q", out)
	}
	if err := p.Stop(t.Context(), "suite-none", 0); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Stop of none: %v", err)
	}
	c.Terminate("suite-1") // by hand
	if err := p.Start(t.Context(), "suite-1"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Start of one that was terminated by hand: %v", err)
	}
	gone(t, p, "suite-1")
	spot := open(t, url, func(o *ec2.Options) { o.Spot = "yes" })
	create(t, spot, "suite-2")
	if err := spot.Stop(t.Context(), "suite-2", 0); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("Stop of a spot instance: %v", err)
	}
}

// TestInterruption announces that a spot instance ends, and a host that is retired, and ends them:
// each is told of before it is given to anybody.
func TestInterruption(t *testing.T) {
	c, url := place(t, ec2test.Options{End: time.Hour})
	p := open(t, url, func(o *ec2.Options) { o.Spot, o.Poll = "yes", time.Millisecond })
	for _, id := range []compute.ID{"suite-1", "suite-2", "suite-3", "suite-4"} {
		create(t, p, id)
		if err := p.Check(t.Context(), id); err != nil {
			t.Fatalf("Check(%s): %v", id, err)
		}
	}
	c.Warn("suite-1")
	c.Retire("suite-2")
	c.Impair("suite-3")
	for id, word := range map[compute.ID]string{
		"suite-1": "marked-for-termination", "suite-2": "instance-retirement", "suite-3": "impaired",
	} {
		until(t, "Check says it", func() error {
			err := p.Check(t.Context(), id)
			if errors.Is(err, compute.ErrUnavailable) && strings.Contains(err.Error(), word) {
				return nil
			}
			return fmt.Errorf("Check(%s): %v", id, err)
		})
	}
	if err := p.Check(t.Context(), "suite-4"); err != nil {
		t.Errorf("Check of a healthy one: %v", err)
	}
	c.Interrupt("suite-1")
	until(t, "Check says why it ends", func() error {
		if err := p.Check(t.Context(), "suite-1"); err == nil || !strings.Contains(err.Error(), "Spot instance termination") {
			return fmt.Errorf("Check: %v", err)
		}
		return nil
	})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("Create of one that is ending: %v", err)
	}
}

// TestHostKeys logs in to hosts whose key was given to them, or is read from their console, and not
// to one with another key.
func TestHostKeys(t *testing.T) {
	for _, way := range []string{"user-data", "console"} {
		_, url, port := inhabited(t, ec2test.Options{})
		dir := t.TempDir()
		change := func(o *ec2.Options) { o.Port, o.HostKey, o.Dir = port, way, dir }
		p := open(t, url, change)
		create(t, p, "suite-1")
		if out := says(t, connect(t, p, "suite-1"), "echo", way); out != way+"\n" {
			t.Errorf("it says %q", out)
		}
		says(t, connect(t, open(t, url, change), "suite-1"), "true") // by the next process
		if text, err := p.Console(t.Context(), "suite-1"); err != nil || len(ec2.PrintedKeys(text)) != 1 {
			t.Errorf("Console: %q, %v", text, err)
		}
		// Another secret is another key.
		other := open(t, url, func(o *ec2.Options) { change(o); o.Dir = t.TempDir() })
		if conn, err := other.Connect(t.Context(), "suite-1"); err == nil {
			conn.Close()
			t.Error("somebody without the secret is let in, or lets any host in")
		}
		gone(t, p, "suite-1")
		if left, _ := filepath.Glob(filepath.Join(dir, "hosts", "*")); len(left) > 0 {
			t.Errorf("left of it here: %q", left)
		}
	}
}

// TestUserData joins what the source says, what a request says and the keys.
func TestUserData(t *testing.T) {
	_, url, port := inhabited(t, ec2test.Options{})
	file := filepath.Join(t.TempDir(), "user-data")
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho from the source\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, url, func(o *ec2.Options) { o.Port, o.UserData = port, file })
	big := []byte("#cloud-config\n# " + strings.Repeat("x", 20<<10) + "\nssh_authorized_keys: []\n")
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1", UserData: big}); err != nil {
		t.Fatal(err)
	}
	says(t, connect(t, p, "suite-1"), "true") // so the keys were found in it
	if limit := p.UserDataLimit(); limit < 12<<10 || limit > 16<<10 {
		t.Errorf("UserDataLimit: %d", limit)
	}
	noise := make([]byte, 40<<10)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/"[x>>26]
	}
	for _, data := range [][]byte{append([]byte("#!/bin/sh\n# "), noise...), []byte("what is this")} {
		if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-2", UserData: data}); !errors.Is(err, compute.ErrInvalid) ||
			!provider.WasUnasked(err) {
			t.Errorf("user data %.20q: %v", data, err)
		}
	}
}

func TestSnapshot(t *testing.T) {
	c, url, port := inhabited(t, ec2test.Options{Image: 100 * time.Millisecond, Hidden: 20 * time.Millisecond})
	p := open(t, url, func(o *ec2.Options) { o.Port = port })
	p.SetParting("true")
	var ids []string
	for i := range 2 { // the second takes the first one's place
		id := compute.ID(fmt.Sprintf("suite-%d", i))
		create(t, p, id)
		connect(t, p, id).Close()
		name, err := p.Snapshot(t.Context(), id, provider.ImageSpec{Name: "localhost/built:0123", Labels: map[string]string{"of": "test"}})
		if err != nil {
			t.Fatal(err)
		}
		gone(t, p, id)
		digest, err := p.ImageDigest(t.Context(), name, false)
		if err != nil || slices.Contains(ids, digest) {
			t.Errorf("ImageDigest: %q, %v; before %q", digest, err, ids)
		}
		ids = append(ids, digest)
	}
	if left := things(c); len(left) != 2 || !strings.HasPrefix(left[0], "snapshot ") || left[1] != "image "+ids[1] {
		t.Errorf("there are %q, want the image %s and its snapshot", left, ids[1])
	}
	in, err := p.Create(t.Context(), compute.Spec{ID: "suite-7", Image: "localhost/built:0123"})
	if err != nil || in.Facts["image"] != ids[1] {
		t.Errorf("made of it: %+v, %v", in, err)
	}
	says(t, connect(t, p, "suite-7"), "true")
}

func TestChoicesAndProbe(t *testing.T) {
	c, url := place(t, ec2test.Options{VCPUs: 4})
	p := open(t, url, func(o *ec2.Options) { o.Types = []string{"m5.large"} })
	for kind, want := range map[string]string{provider.Flavors: "c5.xlarge", provider.Locations: "xx-test-1b"} {
		all, _, err := p.Choices(t.Context(), kind)
		if err != nil || !slices.ContainsFunc(all, func(n provider.Named) bool { return n.Name == want }) {
			t.Errorf("Choices(%s): %v, %v", kind, all, err)
		}
	}
	if _, open, err := p.Choices(t.Context(), provider.Images); err != nil || !open {
		t.Errorf("Choices of images: open %v, %v", open, err)
	}
	note, err := p.Probe(t.Context(), compute.Spec{})
	if err != nil || !strings.Contains(note, "m5.large") || !strings.Contains(note, image) {
		t.Errorf("Probe: %q, %v", note, err)
	}
	if n := instances(c); n != 0 {
		t.Errorf("Probe made %d instances", n)
	}
	in, err := p.Create(t.Context(), compute.Spec{ID: "suite-1", Location: "xx-test-1b"})
	if err != nil || in.Facts["zone"] != "xx-test-1b" {
		t.Errorf("in a zone that was chosen: %+v, %v", in, err)
	}
	create(t, p, "suite-2")
	for spec, kind := range map[string]*compute.Kind{"": compute.ErrNoCapacity, "t9.none": compute.ErrInvalid} {
		if _, err := p.Probe(t.Context(), compute.Spec{Flavor: spec}); !errors.Is(err, kind) {
			t.Errorf("Probe of %q in a full place: %v, want %v", spec, err, kind)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, change := range map[string]func(*ec2.Options){
		"spot":      func(o *ec2.Options) { o.Spot = "maybe" },
		"price":     func(o *ec2.Options) { o.Prices = []string{"m5.large"} },
		"tags":      func(o *ec2.Options) { o.Tags = []string{"hostler:x=y"} },
		"max-price": func(o *ec2.Options) { o.MaxPrice = "1" },
		"match":     func(o *ec2.Options) { o.Types, o.Match = nil, "(" }, "both": func(o *ec2.Options) { o.Cores = 1 },
		"places": func(o *ec2.Options) { o.Zones, o.Subnets = []string{"a"}, []string{"b"} },
		"user":   func(o *ec2.Options) { o.User = "a b" }, "endpoint": func(o *ec2.Options) { o.Endpoint = "x" },
		"source": func(o *ec2.Options) { o.Source = "" },
	} {
		o := ec2.Options{Source: "s", Installation: "i", Dir: t.TempDir(), Types: []string{"m5.large"}}
		change(&o)
		if _, err := ec2.Open(t.Context(), nil, o); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%s: err = %v; want error compute.ErrInvalid", name, err)
		}
	}
}

func TestReasons(t *testing.T) {
	for code, want := range map[string]session.Reason{
		"InsufficientInstanceCapacity": session.NoHardware, "InsufficientSomethingNew": session.NoHardware,
		"InstanceLimitExceeded": session.Quota, "VolumeLimitExceeded": session.Quota,
		"RequestLimitExceeded": session.RateLimited, "AuthFailure": session.Denied, "InvalidGroup.NotFound": session.Missing,
		"InvalidKeyPair.Duplicate":    session.Conflicting,
		"IdempotentParameterMismatch": session.Conflicting, "InvalidParameterValue": session.BadRequest,
		"Unsupported": session.Unsupported, "ServiceUnavailable": session.Down, "Whatever": session.Unknown,
	} {
		if got := session.ReasonOfCode(code, false); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
}

// TestRealHost logs in to a real sshd, with a key pair that there is, and the host's key from its
// console.
func TestRealHost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the lab's ssh hosts need root")
	}
	lab := computetest.Lab{Set: "provider-ec2", Net: 61}
	kv := lab.Run(t, "ssh-hosts", "up", "1")
	t.Cleanup(func() { _, _ = lab.Try("ssh-hosts", "down") })
	known, err := os.ReadFile(kv["known_hosts"])
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(kv["host1"] + ":" + kv["port1"])
	if err != nil || port != "22" {
		t.Fatalf("the lab's host is at %s %s", kv["host1"], kv["port1"])
	}
	console := "-----BEGIN SSH HOST KEY KEYS-----\n"
	for line := range strings.Lines(string(known)) {
		if _, key, ok := strings.Cut(line, " "); ok {
			console += key
		}
	}
	c, url := place(t, ec2test.Options{Guest: func(ec2test.Boot) (ec2test.Guest, error) {
		return ec2test.Guest{Address: kv["host1"], Console: console + "-----END SSH HOST KEY KEYS-----\n"}, nil
	}})
	public, err := os.ReadFile(kv["key"] + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	c.AddKey("mine", string(public))
	p := open(t, url, func(o *ec2.Options) { o.Key, o.IdentityFile, o.HostKey, o.User = "mine", kv["key"], "console", "user" })
	create(t, p, "suite-1")
	if out := says(t, connect(t, p, "suite-1"), "sh", "-c", "id -un; hostname"); out != "user\nlab1\n" {
		t.Errorf("the real host says %q", out)
	}
	if _, err := lab.Try("ssh-hosts", "fault", "1", "newkey"); err != nil {
		t.Fatal(err)
	}
	if conn, err := p.Connect(t.Context(), "suite-1"); err == nil {
		conn.Close()
		t.Error("a host with another key is let in")
	}
	gone(t, p, "suite-1")
}
