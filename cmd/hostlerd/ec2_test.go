package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hostler-project/hostler/provider/ec2/ec2test"
)

// TestCloudEC2 plays the scripts of hostler cloud -p ec2 against a service in this process. At
// their end it has nothing that it had not before.
func TestCloudEC2(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	scripts(t, "testdata/ec2", true, func(env *testscript.Env) {
		guests, err := ec2test.NewGuests(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		cloud := ec2test.New(ec2test.Options{
			Guest: guests.Start, AccessKey: "AKIDTEST", Instances: 5,
			Limits: map[string]int{"Standard/OnDemand": 8, "G/OnDemand": 0},
		})
		service := httptest.NewServer(cloud)
		cloud.AddImage(ec2test.Image{ID: "ami-debian", Name: "debian-12-amd64", Alias: "amazon", Owner: "136693071363"})
		before := fmt.Sprint(cloud.Things())
		env.Defer(func() {
			if after := fmt.Sprint(cloud.Things()); after != before && !t.Failed() {
				t.Errorf("at the end there are %s, before there were %s", after, before)
			}
			service.Close()
			cloud.Close()
		})
		for key, value := range map[string]string{
			"ENDPOINT": service.URL, "SSHPORT": fmt.Sprint(guests.Port), "AWS_ACCESS_KEY_ID": "AKIDTEST",
			"AWS_SECRET_ACCESS_KEY": "not-to-be-seen", "AWS_REGION": "xx-test-1", "AWS_PROFILE": "",
			"AWS_SESSION_TOKEN": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null",
			"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "SSH_AUTH_SOCK": "", "OS_CLOUD": "", "OS_AUTH_URL": "",
		} {
			env.Setenv(key, value)
		}
	})
}

// TestEC2 is a user with a source of EC2: instances are launched, run commands, and are terminated.
// The service is in this process, and they are ssh servers in it.
func TestEC2(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	guests, err := ec2test.NewGuests(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cloud := ec2test.New(ec2test.Options{Guest: guests.Start, AccessKey: "AKIDTEST"})
	service := httptest.NewServer(cloud)
	t.Cleanup(func() {
		service.Close()
		cloud.Close()
	})
	cloud.AddImage(ec2test.Image{ID: "ami-1", Name: "debian-12-amd64", Alias: "amazon", Owner: "136693071363"})
	before := fmt.Sprint(cloud.Things())

	run, err := os.MkdirTemp("", "hostler") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	dir := t.TempDir()
	env := append(
		append(os.Environ(), environment(t, dir)...), "PATH="+plainPath(t), "XDG_RUNTIME_DIR="+run, "AWS_PROFILE=",
		"AWS_ACCESS_KEY_ID=", "AWS_EC2_METADATA_DISABLED=true",
	)
	for name, text := range map[string]string{
		".aws/credentials": "[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = not-to-be-seen\n",
		".config/hostler/sources/cloud/source.conf": fmt.Sprintf("type = ec2\nmaximum = 2\n[ec2]\nregion = xx-test-1\nendpoint = %s\nimage = debian-12-*\ncores = 2\nmemory = 1G\nspot = first\nssh-port = %d\npoll = 100ms\n",
			service.URL, guests.Port),
	} {
		file := filepath.Join(dir, "home", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { stopKeeper(t, env) })
	hostler := func(want int, args ...string) string {
		t.Helper()
		cmd := exec.Command("hostler", args...)
		cmd.Dir, cmd.Env = filepath.Join(dir, "work"), env
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Fatalf("hostler %q: exit %d, want %d: %s", args, got, want, out)
		}
		if strings.Contains(string(out), "not-to-be-seen") {
			t.Errorf("hostler %q says a secret: %s", args, out)
		}
		return string(out)
	}
	if out := hostler(0, "acquire", "-s", "cloud"); out != "cloud-1\n" {
		t.Errorf("acquire: %q", out)
	}
	if out := hostler(7, "run", "cloud-1", "--", "sh", "-c", "echo hello; exit 7"); out != "hello\n" {
		t.Errorf("run: %q", out)
	}
	if out := strings.Join(cloud.Things(), "\n"); !strings.Contains(out, "running cloud-1") || !strings.Contains(out, "spot request") {
		t.Errorf("the service has %s", out)
	}
	hostler(0, "release", "--wait", "cloud-1")
	if after := fmt.Sprint(cloud.Things()); after != before {
		t.Errorf("after the release there are %s, before there were %s", after, before)
	}
	for _, market := range []string{"spot", "on-demand"} {
		for _, typ := range []string{"t3.micro", "m5.large", "c5.xlarge", "m5.xlarge"} {
			cloud.Empty(typ, "", market, -1)
		}
	}
	if out := hostler(3, "acquire", "-s", "cloud", "--wait", "0s"); !strings.Contains(out, "InsufficientInstanceCapacity") {
		t.Errorf("acquire without capacity: %s", out)
	}
}

// TestCloudEC2Denied is a user whose credentials may not ask Service Quotas: he is told so in
// words, and what runs is counted.
func TestCloudEC2Denied(t *testing.T) {
	cloud := ec2test.New(ec2test.Options{AccessKey: "AKIDTEST", Instances: 5, Limits: map[string]int{"Standard/OnDemand": 8}})
	service := httptest.NewServer(cloud)
	t.Cleanup(func() {
		service.Close()
		cloud.Close()
	})
	for _, action := range []string{"ListServiceQuotas", "DescribeAccountAttributes"} {
		cloud.Fail(
			action, -1,
			ec2test.Fault{
				Status:  403,
				Code:    map[bool]string{true: "AccessDeniedException", false: "UnauthorizedOperation"}[action == "ListServiceQuotas"],
				Message: "You are not authorized to perform this: " + action,
			},
		)
	}
	dir := t.TempDir()
	env := append(append(os.Environ(), environment(t, dir)...), "PATH="+plainPath(t), "AWS_PROFILE=", "AWS_ACCESS_KEY_ID=AKIDTEST",
		"AWS_SECRET_ACCESS_KEY=not-to-be-seen", "AWS_SESSION_TOKEN=", "AWS_REGION=xx-test-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	var out, said strings.Builder
	cmd := exec.Command("hostler", "cloud", "quota", "-p", "ec2", "--endpoint", service.URL)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = filepath.Join(dir, "work"), env, &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: said = %s; want no error", err, said.String())
	}
	if !strings.Contains(said.String(), "servicequotas:ListServiceQuotas") ||
		!strings.Contains(said.String(), "You are not authorized") || strings.Contains(said.String(), "not-to-be-seen") {
		t.Errorf("it is told as %q", said.String())
	}
	if fields := strings.Fields(out.String()); !strings.Contains(strings.Join(fields, " "), "instances - 0 - cores - 0 - memory - 0") ||
		strings.Contains(out.String(), "OnDemand") {
		t.Errorf("what is known is %q", fields)
	}
}
