package ec2_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/ec2test"
	"github.com/hostler-project/hostler/provider/guard"
)

func TestMain(m *testing.M) {
	for key, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "not-to-be-seen-anywhere",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_REGION": "xx-test-1",
	} {
		_ = os.Setenv(key, value)
	}
	for _, key := range []string{"SSH_AUTH_SOCK", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2"} {
		_ = os.Unsetenv(key)
	}
	goleak.VerifyTestMain(m)
}

// patience is a generous limit for what has to come about.
const patience = 60 * time.Second

// image is one that is there in all tests.
const image = "ami-debian"

// place is an EC2 with a few images.
func place(t *testing.T, o ec2test.Options) (*ec2test.Cloud, string) {
	t.Helper()
	c := ec2test.New(o)
	s := httptest.NewServer(c)
	t.Cleanup(func() {
		s.Close()
		c.Close()
	})
	at := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	c.AddImage(ec2test.Image{ID: image, Name: "debian-12-amd64-20260101", Owner: "136693071363", Alias: "amazon", Created: at(1)})
	c.AddImage(ec2test.Image{ID: "ami-newer", Name: "debian-12-amd64-20260109", Owner: "136693071363", Alias: "amazon", Created: at(9)})
	c.AddImage(ec2test.Image{
		ID: "ami-arm", Name: "debian-12-arm64-20260110", Owner: "136693071363", Alias: "amazon", Arch: "arm64",
		Created: at(10),
	})
	c.AddImage(ec2test.Image{ID: "ami-foreign", Name: "debian-12-amd64-20260111", Owner: "666666666666", Created: at(11)})
	return c, s.URL
}

// inhabited is an EC2 whose instances are ssh servers.
func inhabited(t *testing.T, o ec2test.Options) (c *ec2test.Cloud, url string, port int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	g, err := ec2test.NewGuests(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Guest = g.Start
	c, url = place(t, o)
	return c, url, g.Port
}

// open opens a source, which may be changed first.
func open(t *testing.T, url string, change func(*ec2.Options)) *ec2.Provider {
	t.Helper()
	o := ec2.Options{
		Source: "suite", Installation: "here", Dir: filepath.Join(t.TempDir(), "own"), Endpoint: url, Image: image,
		Types: []string{"t3.micro"}, Poll: 20 * time.Millisecond,
	}
	if change != nil {
		change(&o)
	}
	p, err := ec2.Open(t.Context(), slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// things are what is in a place and was not there at first.
func things(c *ec2test.Cloud) []string {
	return slices.DeleteFunc(c.Things(), func(s string) bool {
		return strings.HasPrefix(s, "image ami-debian") ||
			slices.Contains([]string{"image ami-newer", "image ami-arm", "image ami-foreign", "security group sg-default"}, s)
	})
}

// until waits for a condition.
func until(t *testing.T, what string, is func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := is()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: err = %v; want !time.Now().After(end)", what, err)
		}
	}
}

// gone destroys until there is nothing left.
func gone(t *testing.T, p compute.Provider, id compute.ID) {
	t.Helper()
	until(t, "Destroy "+string(id), func() error {
		err := p.Destroy(t.Context(), id)
		if err == nil {
			return fmt.Errorf("still there")
		}
		if errors.Is(err, compute.ErrNotFound) {
			return nil
		}
		return err
	})
}

func TestProvider(t *testing.T) {
	for name, wrap := range map[string]func(compute.Provider) compute.Provider{
		"bare":    func(p compute.Provider) compute.Provider { return p },
		"guarded": func(p compute.Provider) compute.Provider { return guard.New(p, guard.Options{Creates: 4}) },
	} {
		t.Run(name, func(t *testing.T) {
			// What was made is not listed for a while, pages are short, and what ends needs time
			// for that.
			c, url, port := inhabited(t, ec2test.Options{Hidden: 50 * time.Millisecond, End: 50 * time.Millisecond, Page: 3})
			slow, slowURL, slowPort := inhabited(t, ec2test.Options{Boot: time.Second})
			full, fullURL, fullPort := inhabited(t, ec2test.Options{Instances: 1})
			dir := t.TempDir()
			opener := func(url string, port int, installation string) func(t *testing.T) compute.Provider {
				return func(t *testing.T) compute.Provider {
					return wrap(open(t, url, func(o *ec2.Options) {
						o.Dir, o.Port, o.Installation = filepath.Join(dir, installation), port, installation
					}))
				}
			}
			computetest.Provider(t, computetest.ProviderOptions{
				New: opener(url, port, "here"), Foreign: opener(url, port, "there"),
				Slow: opener(slowURL, slowPort, "here"), Full: opener(fullURL, fullPort, "here"),
				Installation: "here", Patience: patience, Parallel: 8, Leak: func() []string { return things(c) },
			})
			for _, c := range []*ec2test.Cloud{slow, full} {
				if left := things(c); len(left) > 0 {
					t.Errorf("left behind: %q", left)
				}
			}
		})
	}
}
