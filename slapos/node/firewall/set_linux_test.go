package firewall

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

const somebody = 54327 // a user and a group that have no name

// firewalld stands in for firewall-cmd, which most machines do not have: it keeps rules in a file,
// says yes or no as that does, and writes down what it was told.
const firewalld = `#!/bin/sh
dir=$(dirname "$0")
echo "$*" >>"$dir/told"
case "$1 $2" in
"--reload ") exit 0 ;;
"--permanent --direct") ;;
*) echo "usage: wrong" >&2; exit 2 ;;
esac
verb=$3; shift 3
test -e "$dir/broken" && { echo "Error: FirewallD is not running" >&2; exit 252; }
case $verb in
--query-rule) grep -Fqx -- "$*" "$dir/rules" && { echo yes; exit 0; }; echo no; exit 1 ;;
--add-rule) echo "$*" >>"$dir/rules"; echo success ;;
--remove-rule) grep -Fvx -- "$*" "$dir/rules" >"$dir/rest"; mv "$dir/rest" "$dir/rules"; echo success ;;
*) exit 2 ;;
esac
`

// rig is a partition, a firewall, and a master that knows a tree.
type rig struct {
	*testing.T
	*Firewall
	p    *proto.Partition
	at   string // the firewall's directory
	dir  string // the partition's
	tree []proto.Address
	err  error
}

func (r *rig) TreeAddresses(context.Context, string, string) ([]proto.Address, error) {
	return r.tree, r.err
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, at: t.TempDir(), dir: filepath.Join(t.TempDir(), "p0")}
	r.p = &proto.Partition{ID: "p0", Computer: "C", Addresses: []proto.Address{{Interface: "route_t", IP: "10.1.0.1"}}}
	r.Firewall = &Firewall{Master: r, Command: []string{filepath.Join(r.at, "firewall-cmd")}, Authorized: []string{"192.0.2.7"}}
	r.do(os.WriteFile(r.Command[0], []byte(firewalld), 0o755))
	r.do(os.WriteFile(filepath.Join(r.at, "rules"), []byte("ipv4 filter INPUT 0 -d 10.9.9.9 -j ACCEPT\n"), 0o644))
	r.do(os.Mkdir(r.dir, 0o755))
	if os.Getuid() == 0 {
		r.do(os.Chown(r.dir, somebody, somebody))
	}
	return r
}

func (r *rig) do(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) text(path string) string {
	r.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		r.Fatal(err)
	}
	return string(text)
}

// told is what the firewall was told since the last time.
func (r *rig) told() string {
	text := r.text(filepath.Join(r.at, "told"))
	_ = os.Remove(filepath.Join(r.at, "told"))
	return text
}

const (
	other  = "ipv4 filter INPUT 0 -d 10.9.9.9 -j ACCEPT\n"
	reject = `ipv4 filter INPUT 900 -d 10.1.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
ipv4 filter FORWARD 900 -d 10.1.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
ipv4 filter INPUT 1000 -d 10.1.0.1 -j REJECT
ipv4 filter FORWARD 1000 -d 10.1.0.1 -j REJECT
`
)

func accept(from string) string {
	return fmt.Sprintf("ipv4 filter INPUT 0 -s %s -d 10.1.0.1 -j ACCEPT\nipv4 filter FORWARD 0 -s %[1]s -d 10.1.0.1 -j ACCEPT\n", from)
}

func (r *rig) rules(what, want string) {
	r.Helper()
	if got := r.text(filepath.Join(r.at, "rules")); got != want {
		r.Errorf("%s: %s\nwant %s", what, got, want)
	}
}

// TestSet makes rules once, asks each time, and takes away what is not wanted any more.
func TestSet(t *testing.T) {
	r := newRig(t)
	r.tree = []proto.Address{{IP: "10.2.0.1"}}
	r.do(r.Set(t.Context(), r.p, r.dir))
	r.rules("first", other+accept("10.2.0.1")+accept("192.0.2.7")+reject)
	told := strings.Split(r.told(), "\n")
	if len(told) != 18 ||
		told[0] != "--permanent --direct --query-rule ipv4 filter INPUT 0 -s 10.2.0.1 -d 10.1.0.1 -j ACCEPT" || told[1] != "--permanent --direct --add-rule ipv4 filter INPUT 0 -s 10.2.0.1 -d 10.1.0.1 -j ACCEPT" || told[16] != "--reload" {
		t.Errorf("told = %q", told)
	}
	if text := r.text(filepath.Join(r.dir, rulesFile)); !strings.HasPrefix(
		text, `["--permanent --direct --add-rule ipv4 filter INPUT 0 -s 10.2.0.1`,
	) {
		t.Errorf("text = %s", text)
	}
	r.do(r.Set(t.Context(), r.p, r.dir))
	if told := r.told(); strings.Count(told, "--query-rule") != 8 || strings.Count(told, "\n") != 8 {
		t.Errorf("again: %s", told)
	}
	r.tree, r.Reload = []proto.Address{{IP: "10.3.0.1"}}, []string{r.Command[0], "--reload", ""}
	r.do(r.Set(t.Context(), r.p, r.dir))
	r.rules("another tree", other+accept("192.0.2.7")+reject+accept("10.3.0.1"))
	r.tree, r.err = nil, client.ErrNotFound // a master that knows no trees
	r.do(r.Set(t.Context(), r.p, r.dir))
	r.rules("no tree", other+accept("192.0.2.7")+reject+accept("10.1.0.1"))
	r.p.Filter = proto.Dictionary{"fw_restricted_access": "off"}
	r.do(r.Set(t.Context(), r.p, r.dir))
	r.rules("open", other)
	r.told()
	r.do(r.Set(t.Context(), r.p, r.dir))
	if told := r.told(); told != "" {
		t.Errorf("with nothing to do: %s", told)
	}
	r.p.Filter = nil
	r.do(r.Set(t.Context(), r.p, r.dir))
	r.do(r.Clear(t.Context(), r.p, r.dir))
	r.rules("cleared", other)
	if r.text(filepath.Join(r.dir, rulesFile)) != "" {
		t.Error("rules are still noted")
	}
}

// TestBroken says what the firewall said, and loses nothing of what it has made.
func TestBroken(t *testing.T) {
	r := newRig(t)
	r.do(os.WriteFile(filepath.Join(r.at, "broken"), nil, 0o644))
	if err := r.Set(t.Context(), r.p, r.dir); err == nil || !strings.Contains(err.Error(), "FirewallD is not running") {
		t.Error(err)
	}
	r.do(os.Remove(filepath.Join(r.at, "broken")))
	r.do(r.Set(t.Context(), r.p, r.dir))
	r.do(r.Clear(t.Context(), r.p, r.dir))
	r.rules("cleared", other)
	r.Command = []string{"/no/such/firewall-cmd"}
	if err := r.Set(t.Context(), r.p, r.dir); err == nil || !strings.Contains(err.Error(), "firewall_cmd in [firewall]") {
		t.Error(err)
	}
	r.do(r.Clear(t.Context(), &proto.Partition{ID: "p1"}, t.TempDir()))
}

// TestForged has a partition's user note rules of others, and words that are no rules: none of them
// is touched.
func TestForged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can have a directory of another user's")
	}
	r := newRig(t)
	path := filepath.Join(r.dir, rulesFile)
	r.do(os.WriteFile(path, []byte(`["--permanent --direct --add-rule ipv4 filter INPUT 1000 -d 10.9.9.9 -j REJECT", "--panic-on", "x ipv4 filter INPUT 0 -d 10.1.0.1 -j ACCEPT --panic-on",
		"x ipv4 filter INPUT 1000 -d 10.1.0.1 -j REJECT"]`), 0o644))
	r.do(os.Chown(path, somebody, somebody))
	r.do(os.WriteFile(
		filepath.Join(r.at, "rules"),
		[]byte("ipv4 filter INPUT 1000 -d 10.9.9.9 -j REJECT\nipv4 filter INPUT 1000 -d 10.1.0.1 -j REJECT\n"), 0o644,
	))
	r.do(r.Clear(t.Context(), r.p, r.dir))
	r.rules("forged", "ipv4 filter INPUT 1000 -d 10.9.9.9 -j REJECT\n")
	if told := r.told(); strings.Contains(told, "panic") || strings.Count(told, "--remove-rule") != 1 {
		t.Errorf(`told = %s; want told without "panic" and strings.Count(told, "--remove-rule") == 1`, told)
	}
}
