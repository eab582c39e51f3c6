package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
)

// TestFromAfar: what somebody elsewhere may have a source do, and what not; and that what stands in
// files counts before what was applied.
func TestFromAfar(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct{ text, want string }{
		"plain":     {"type = fake\nreserve = 2\nbundles = none\n[fake]\nboot = 1s\n", ""},
		"shell":     {"type = fake\n[fake]\nrun = exec\n", "run decides"},
		"home":      {"type = fake\n[fake]\nboot = 1s\nRun = home\n", "decides"},
		"pods":      {"type = kubernetes\n[kubernetes]\nimage = debian:13\ncores = 2\nnode-selector = a=b\n", ""},
		"template":  {"type = kubernetes\n[kubernetes]\ntemplate = /etc/shadow\n", "template decides"},
		"secretpod": {"type = kubernetes\n[kubernetes]\nimage = x\nvolumes = secret:a:/b\n", "volumes decides"},
		"account":   {"type = kubernetes\n[kubernetes]\nimage = x\nservice-account = admin\n", "service-account decides"},
		"config":    {"type = kubernetes\n[kubernetes]\nkubeconfig = /root/x\n", "kubeconfig decides"},
		"servers":   {"type = openstack\n[openstack]\ncloud = x\nimage = y\n", ""},
		"userdata":  {"type = openstack\n[openstack]\nuser-data = /etc/passwd\n", "user-data decides"},
		"endpoint":  {"type = ec2\n[ec2]\nendpoint = http://169.254.169.254/\n", "endpoint decides"},
		"ec":        {"type = ec2\n[ec2]\nregion = eu-west-3\n", ""},
		"here":      {"type = local\n", "type local works on the controller's own machine"},
		"chroot":    {"type = chroot\n[chroot]\nbase = /\n", "type chroot works"},
		"far":       {"type = ssh\nssh_host = localhost\n", "type ssh works"},
		"machine":   {"type = vm\nimage = /dev/sda\n", "type vm works"},
		"program":   {"type = mine\n", "type mine works"},
		"files":     {"type = sandbox\nimage = dir:/root\n", "image shows files"},
		"oci":       {"type = sandbox\nimage = docker.io/debian\n", ""},
		"local":     {"type = fake\n", "what is meant for the controller's own local"},
		"command":   {"type = fake\nimage = command:id\n", "runs a program"},
		"env":       {"type = fake\nimage = env:PATH\n", "reads a secret of the controller's user"},
		"keyring":   {"type = fake\n[fake]\nboot = keyring:x\n", "reads a secret"},
		"list":      {"type = fake\nbundles = a, command:id\n", "runs a program"},
		"passwd":    {"type = fake\nimage = file:/etc/passwd\n", "not below /secrets"},
		"up":        {"type = fake\nimage = file:/secrets/../etc/passwd\n", "not below /secrets"},
		"beside":    {"type = fake\nimage = file:/secretsx\n", "not below /secrets"},
		"relative":  {"type = fake\nimage = file:x\n", "not below /secrets"},
		"allowed":   {"type = fake\nimage = file:/secrets/a/b\n", ""},
		"hooked":    {"type = fake\n", "run on the controller's machine at provision"},
		"two":       {"type = fake\nreserve = 7\n", ""},
	}
	for name, c := range cases {
		write("sources/"+name+"/source.conf", c.text)
		if name == "hooked" {
			write("sources/hooked/provision.d/x", "#!/bin/sh\n")
		}
	}
	write("bundles/good/bundle.conf", "[args]\na = file:/secrets/x\npassword = required\n")
	write("bundles/bad/bundle.conf", "[args]\na = file:/etc/passwd\npassword = x\n")
	write("hostler.conf", "[defaults]\nsource = plain\n")
	own := filepath.Join(home, ".config", "hostler", "sources", "two")
	if err := os.MkdirAll(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "source.conf"), []byte("type = fake\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := func(string) string { return "" }
	c, err := config.Load(config.LoadOptions{Dir: home, Home: home, System: home + "/none", Env: none,
		Applied: func(*config.Config) string { return dir },
		Kinds: table(map[string][]string{
			"local": nil, "sandbox": {"*"}, "fake": {"*"}, "openstack": {"*"}, "ec2": {"*"}, "kubernetes": {"*"},
			"vm": {"*"}, "ssh": nil, "chroot": {"*"},
		})})
	if err != nil {
		t.Fatal(err)
	}
	if c.Defaults.Source != "" {
		t.Error("what was applied has a hostler.conf that counts")
	}
	s, err := c.Source("two")
	if err != nil || s.Applied || s.Reserve != 0 || len(s.Shadowed) != 1 {
		t.Errorf("what stands in a file does not count: %+v %v", s, err)
	}
	for name, one := range cases {
		if name == "two" {
			continue
		}
		want := one.want
		s, err := c.Source(name)
		if err != nil {
			t.Fatal(err)
		}
		risks := c.RemoteRisks(s, "/secrets")
		switch {
		case !s.Applied:
			t.Errorf("%s: was not applied: %+v", name, s)
		case want == "" && len(risks) > 0:
			t.Errorf("%s: risks = %+v", name, risks)
		case want != "" && (len(risks) == 0 || !strings.Contains(risks[0].Why, want)):
			t.Errorf("%s: %+v, want %s", name, risks, want)
		}
	}
	if s, _ := c.Source("allowed"); len(c.RemoteRisks(s, "")) == 0 {
		t.Error("where no directory of secrets is named a file may be read")
	}
	for name, bad := range map[string]bool{"good": false, "bad": true} {
		b, err := c.Bundle(name)
		if err != nil || !b.Applied {
			t.Fatalf("b = %v, err = %v; want no error and b.Applied", b, err)
		}
		if got := len(c.BundleRemoteRisks(b, "/secrets")) > 0; got != bad {
			t.Errorf("bundle %s: refused: %v", name, got)
		}
		if _, got := b.Exposed(); got != bad {
			t.Errorf("bundle %s: a secret is seen: %v", name, got)
		}
	}
}
