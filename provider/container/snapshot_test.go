//go:build linux

package container_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/container"
)

// TestSnapshot has each engine make an image of a container, and makes another of that.
func TestSnapshot(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{Env: []string{"SOURCE=own"}})
		const name = "localhost/built:1"
		base, err := p.ImageDigest(t.Context(), "", true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.ImageDigest(t.Context(), name, false); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("one that is not there: %v", err)
		}
		create(t, p, "suite-1")
		conn := connect(t, p, "suite-1")
		sh(t, conn, `set -e; echo made >/etc/made; rm /bin/cat; mkdir -p /tmp/deep; echo left >/tmp/deep/left; echo mine >/etc/machine-id; mkdir -p /etc/ssh; echo key >/etc/ssh/ssh_host_ed25519_key
			mkdir -m 700 /deep; sleep 3985 >/dev/null 2>&1 &`)
		conn.Close()
		labels := map[string]string{"hostler.bundles": `["tool","other"]`, "hostler.source": "web", "odd": `a $HOME "b" \c`}
		if got, err := p.Snapshot(t.Context(), "suite-1", provider.ImageSpec{Name: name, Labels: labels}); err != nil || got != name {
			t.Fatalf("the image: %q, %v", got, err)
		}
		t.Cleanup(func() { _, _ = d.request(http.MethodDelete, "/images/localhost/built:1?force=1", nil) })
		// as after a death before it was told
		if _, err := p.Snapshot(t.Context(), "suite-1", provider.ImageSpec{Name: name, Labels: labels}); err != nil {
			t.Fatalf("once more: %v", err)
		}
		destroy(t, p, "suite-1")
		made, err := p.ImageDigest(t.Context(), name, false)
		if err != nil || made == base {
			t.Fatalf("the image is %q, %v", made, err)
		}
		var img struct {
			Config struct {
				Entrypoint, Cmd, Env []string
				Labels               map[string]string
			}
		}
		if err := json.Unmarshal(d.api(t, http.MethodGet, "/images/"+name+"/json", nil), &img); err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(img.Config.Labels, func(_, v string) bool { return v == "" })
		delete(img.Config.Labels, "io.buildah.version")
		if len(img.Config.Entrypoint) > 0 || !slices.Equal(img.Config.Cmd, []string{"sh"}) || !maps.Equal(img.Config.Labels, labels) {
			t.Errorf("it says of itself: %+v", img.Config)
		}

		// By its name and by its digest; a container that somebody else makes of it is none of
		// ours.
		d.make(t, "stranger", map[string]any{"Image": name, "Cmd": []string{"true"}})
		for _, as := range []string{name, made} {
			if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-2", Image: as}); err != nil {
				t.Fatalf("%s: err = %v; want no error", as, err)
			}
			conn = connect(t, p, "suite-2")
			if got := sh(
				t, conn,
				`set -e; test ! -e /bin/cat; test ! -e /tmp/deep; test ! -s /etc/machine-id; test ! -e `+
					`/etc/ssh/ssh_host_ed25519_key; head -n 1 /etc/made; stat -c %a /deep; echo $SOURCE $HOSTNAME`,
			); got != "made\n700\nown suite-2" {
				t.Errorf("in one that is made from it: %q", got)
			}
			conn.Close()
			if all, err := p.List(t.Context()); err != nil || len(all) != 1 {
				t.Errorf("List: %v, %v", all, err)
			}
			destroy(t, p, "suite-2")
		}
		if err := p.TagImage(t.Context(), name, "web:3"); err != nil {
			t.Fatal(err)
		}
		if again, err := p.ImageDigest(t.Context(), "web:3", false); err != nil || again != made {
			t.Errorf("by its other name it is %q, %v", again, err)
		}
		d.api(t, http.MethodDelete, "/images/web:3", nil)
		if _, err := p.Create(
			t.Context(),
			compute.Spec{ID: "suite-3", Image: "sha256:" + "00000000000000000000000000000000000000000000000000000000000000ff"},
		); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("of one that is gone: %v", err)
		}
		destroy(t, p, "suite-3")
		if _, err := p.Snapshot(t.Context(), "none", provider.ImageSpec{Name: name}); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("of none: %v", err)
		}
	})
}
