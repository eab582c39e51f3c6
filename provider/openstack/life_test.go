package openstack_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack"
)

// TestLifeOfAServer does with one server what there is to do with one: facts, console, check, stop,
// start, and an image, of which another one is made.
func TestLifeOfAServer(t *testing.T) {
	o := options(t)
	o.UserData = write(t, t.TempDir(), "user-data", "#!/bin/sh\n"+quickLogins+"echo told > /root/told\n")
	o.FloatingIP = true
	p, s := openAt(t, o), session(t, "lab")
	id := compute.ID(o.Source + "-1")
	if note, err := p.Probe(t.Context(), compute.Spec{}); err != nil || !strings.Contains(note, "lab.tiny") {
		t.Errorf("Probe: %q, %v", note, err)
	}
	in := create(t, p, compute.Spec{ID: id, UserData: []byte("#!/bin/sh\ncat /root/told > /root/heard\n")})
	if in.Facts["cores"] != "1" || in.Facts["flavor"] != "lab.tiny" || in.Facts["image"] != "debian-12" {
		t.Errorf("Create: %+v", in)
	}
	c, err := connect(t, p, id)
	if err != nil {
		t.Fatal(err)
	}
	if got := sh(t, c, "while ! [ -s /root/heard ]; do sleep 0.1; done; hostname; cat /root/heard"); got != string(id)+"\ntold" {
		t.Errorf("in the server: %q", got)
	}
	sh(t, c, "echo kept > /root/kept; echo x > /tmp/not-kept")
	c.Close()
	if err := p.Check(t.Context(), id); err != nil {
		t.Errorf("Check: %v", err)
	}
	if log, err := p.Console(t.Context(), id); err != nil || !strings.Contains(log, "the host key is in its place") ||
		strings.Contains(log, "PRIVATE KEY") {
		t.Errorf("Console: %q, %v", log, err)
	}
	all, err := p.List(t.Context())
	if err != nil || len(all) != 1 || !strings.HasPrefix(all[0].Address, "127.79.") {
		t.Errorf("List: %+v, %v: the address is to be the floating one", all, err)
	}
	for range 2 { // the second is no error
		if err := p.Stop(t.Context(), id, 0); err != nil {
			t.Fatalf("Stop: %v", err)
		}
	}
	if _, err := p.Connect(t.Context(), id); !errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrNotReady) {
		t.Errorf("Connect to what is stopped: %v", err)
	}
	if err := p.Check(t.Context(), id); err == nil {
		t.Error("Check of what is stopped: nil")
	}
	for range 2 {
		if err := p.Start(t.Context(), id); err != nil {
			t.Fatalf("Start: %v", err)
		}
	}
	if c, err = connect(t, p, id); err != nil {
		t.Fatal(err)
	}
	if got := sh(t, c, "cat /root/kept"); got != "kept" {
		t.Errorf("after stop and start the disk has %q", got)
	}
	c.Close()

	name := o.Source + ":first"
	t.Cleanup(func() { deleteImages(t, s, name) })
	for range 2 { // the second takes the place of the first
		got, err := p.Snapshot(t.Context(), id, provider.ImageSpec{Name: name, Labels: map[string]string{"built-by": "test"}})
		if err != nil || got != name {
			t.Fatalf("Snapshot: %q, %v", got, err)
		}
	}
	if n := len(imagesOf(t, s, name)); n != 1 {
		t.Errorf("%d images have the name", n)
	}
	digest, err := p.ImageDigest(t.Context(), name, false)
	if err != nil || digest != "openstack:"+imagesOf(t, s, name)[0] {
		t.Errorf("ImageDigest: %q, %v", digest, err)
	}
	if _, err := p.ImageDigest(t.Context(), "no such image", false); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("ImageDigest of none: %v", err)
	}
	destroy(t, p, id)
	second := compute.ID(o.Source + "-2")
	create(t, p, compute.Spec{ID: second, Image: name})
	if _, err := connect(t, p, second); err != nil {
		t.Errorf("a server of the image: %v", err)
	}
	destroy(t, p, second)
	deleteImages(t, s, name)
	if rest := left(t, s, o.Source); len(rest) > 0 {
		t.Errorf("left behind: %q", rest)
	}
}

// TestRefusals asks for what cannot be had: each is told with the cloud's reason, and nothing of it
// is left.
func TestRefusals(t *testing.T) {
	base := options(t)
	s := session(t, "lab")
	for _, c := range []struct {
		name   string
		change func(*openstack.Options)
		create error // of Create; nil: of Connect
		kind   error
		reason openstack.Reason
		says   string
	}{
		{
			"no host fits", func(o *openstack.Options) { o.Flavor = "lab.huge" }, nil, compute.ErrNoCapacity,
			openstack.NoHardware, "No valid host was found",
		},
		{
			"the build fails", func(o *openstack.Options) { o.Metadata = []string{"lab_build=fail"} }, nil,
			compute.ErrFailed, openstack.BuildFailed, "aborted",
		},
		{
			"no such zone", func(o *openstack.Options) { o.Zone = "nowhere" }, compute.ErrInvalid, compute.ErrInvalid,
			openstack.BadRequest, "availability zone",
		},
		{
			"no such flavor", func(o *openstack.Options) { o.Flavor = "lab.tinny" }, compute.ErrNotFound,
			compute.ErrNotFound, openstack.Unknown, "flavor",
		},
		{
			"no such image", func(o *openstack.Options) { o.Image = "debian-99" }, compute.ErrNotFound,
			compute.ErrNotFound, openstack.Unknown, "no image",
		},
		{
			"no such key", func(o *openstack.Options) { o.Key = "no-such-key" }, compute.ErrInvalid, compute.ErrInvalid,
			openstack.BadRequest, "key_name",
		},
		{
			"too large", func(o *openstack.Options) { o.Flavor, o.Cores = "", 1000 }, compute.ErrTooLarge,
			compute.ErrTooLarge, openstack.Unknown, "no server flavor",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := base
			o.Source = "os" + random()
			c.change(&o)
			p, id := openAt(t, o), compute.ID(o.Source+"-1")
			_, err := p.Create(t.Context(), compute.Spec{ID: id})
			t.Cleanup(func() { destroy(t, p, id) })
			if c.create == nil {
				if err != nil {
					t.Fatalf("Create: %v", err)
				}
				_, err = connect(t, p, id)
			} else if !errors.Is(err, c.create) {
				t.Fatalf("Create: %v", err)
			}
			if !errors.Is(err, c.kind) || openstack.ReasonOf(err) != c.reason || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v (%s), want %v (%s)", err, openstack.ReasonOf(err), c.kind, c.reason)
			}
			destroy(t, p, id)
			if rest := left(t, s, o.Source); len(rest) > 0 {
				t.Errorf("left behind: %q", rest)
			}
		})
	}
	o := base
	o.Cloud, o.Dir = "lab", t.TempDir()
	o.CloudsFile = write(
		t, t.TempDir(), "clouds.yaml",
		"clouds:\n  lab:\n    auth: {auth_url: 'http://127.0.0.1:5000/v3', username: lab, password: sesame, project_name: lab, user_domain_name: Default, project_domain_name: Default}\n",
	)
	if _, err := openAt(t, o).List(t.Context()); !errors.Is(err, compute.ErrDenied) ||
		openstack.ReasonOf(err) != openstack.Denied || strings.Contains(err.Error(), "sesame") {
		t.Errorf("with a wrong password: %v", err)
	}
}
