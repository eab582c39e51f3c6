package container

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider"
)

// Snapshot makes the engine commit a container as an image, which stays at the engine: the layers
// of the container's own image, and its writes as one more. First the files that belong to this
// container alone are removed, and then all its processes are ended. The image keeps the
// configuration of its base, without any trace of how instances are made.
func (p *Provider) Snapshot(ctx context.Context, id compute.ID, spec provider.ImageSpec) (string, error) {
	made, err := p.snapshot(ctx, id, spec)
	return made, p.fault("Snapshot", id, err)
}

// snapshot kills the container first, so it has ended also if the commit fails. It returns the
// image's name as the caller gave it.
func (p *Provider) snapshot(ctx context.Context, id compute.ID, spec provider.ImageSpec) (string, error) {
	as, err := p.tag(spec.Name)
	if err != nil {
		return "", err
	}
	c, err := p.mine(ctx, id)
	if err != nil {
		return "", err
	}
	base, err := p.images.inspectImage(ctx, c.Image)
	if err != nil {
		return "", err
	}
	if err := p.forget(ctx, id, c.ID); err != nil {
		return "", err
	}
	if err := p.at("kill " + c.ID); err != nil {
		return "", err
	}
	if err := p.eng.do(ctx, http.MethodPost, "/containers/"+c.ID+"/kill", nil, nil, nil); err != nil {
		// else it had ended, for which engines have many words
		if now, e := p.mine(ctx, id); e != nil || now.State.Running {
			return "", cmp.Or(e, err)
		}
	}
	if err := p.at("commit " + c.ID); err != nil {
		return "", err
	}
	a, err := p.eng.ask(ctx)
	if err != nil {
		return "", err
	}
	query := url.Values{
		"container": {c.ID}, "repo": {as.Repository}, "tag": {as.Identifier},
		"changes": changes(base, spec.Labels, a.name == "podman"),
	}
	body := map[string]any{}
	if len(base.Config.Entrypoint) == 0 {
		if a.name == "podman" { // podman ignores the body, and Docker refuses such a change
			query.Add("changes", "ENTRYPOINT []")
		} else {
			body["Entrypoint"] = []string{}
		}
	}
	return spec.Name, p.eng.do(ctx, http.MethodPost, "/commit", query, body, nil)
}

// tag reads a name that an image is given.
func (p *Provider) tag(as string) (image.Name, error) {
	n, err := image.ReadName(p.o.Registry, as, nil)
	if err == nil && !n.Tagged {
		err = fmt.Errorf("%s names a digest, and no tag", as)
	}
	var e *compute.Error
	if err == nil || errors.As(err, &e) {
		return n, err
	}
	return n, &compute.Error{Kind: compute.ErrInvalid, Err: err}
}

// changes returns, as lines of a Dockerfile, what restores an image's own configuration where its
// container was made otherwise. With our own labels any container of the image would count as an
// instance.
func changes(base imageInfo, labels map[string]string, podman bool) []string {
	list := func(words []string) string {
		text, _ := json.Marshal(append([]string{}, words...)) // strings cannot fail
		return string(text)
	}
	out := []string{"USER " + cmp.Or(base.Config.User, "0")}
	switch c := base.Config; {
	case len(c.Entrypoint) > 0:
		out = append(out, "ENTRYPOINT "+list(c.Entrypoint), "CMD "+list(c.Cmd))
	case len(c.Cmd) > 0:
		out = append(out, "CMD "+list(c.Cmd))
	default: // no engine can drop the container's own value without a replacement
		out = append(out, `CMD ["sh"]`)
	}
	all := maps.Clone(labels)
	if all == nil {
		all = map[string]string{}
	}
	for _, own := range []string{labelInstallation, labelID, labelShape} {
		all[own] = ""
	}
	if all[labelSource] == "" {
		all[labelSource] = ""
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", " ").Replace
	if podman { // podman takes the outer quotes away, and the rest as it is
		quote = strings.NewReplacer("\n", " ").Replace
	}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, fmt.Sprintf(`LABEL %s="%s"`, k, quote(all[k])))
	}
	return out
}

// forget removes the files in a container that belong to it alone. Its name and its lists of hosts
// and name servers are the engine's, and in no image.
func (p *Provider) forget(ctx context.Context, id compute.ID, container string) error {
	own, err := p.ownFiles(ctx, container)
	if err != nil || len(own) == 0 {
		return err
	}
	conn, err := p.Connect(ctx, id)
	if err != nil {
		return err
	}
	defer conn.Close()
	for part := range slices.Chunk(own, 1000) {
		var said bytes.Buffer
		exit, err := conn.Run(
			ctx,
			&compute.Command{Args: append([]string{"rm", "-rf", "--"}, part...), User: "0", Dir: "/", Stdout: &said, Stderr: &said},
		)
		if errors.Is(err, compute.ErrNoCommand) {
			return &compute.Error{
				Kind: compute.ErrInvalid,
				Err:  fmt.Errorf("%s would be in the image, and there is no program rm to remove it", part[0]),
				Hint: "have the bundle write nothing there, or remove it",
			}
		}
		if err != nil {
			return err
		}
		if exit.Status() != 0 {
			return &compute.Error{
				Kind: compute.ErrFailed,
				Err:  fmt.Errorf("what is its own alone is not removed: %s", oneLine(said.Bytes())),
			}
		}
	}
	return nil
}

// ownFiles lists the container's own files that were written in it, the topmost of each tree.
func (p *Provider) ownFiles(ctx context.Context, container string) ([]string, error) {
	var all []struct {
		Path string
		Kind int // 0 changed, 1 added, 2 removed
	}
	if err := p.eng.do(ctx, http.MethodGet, "/containers/"+container+"/changes", nil, nil, &all); err != nil {
		return nil, err
	}
	var names []string
	for _, c := range all {
		switch c.Path {
		case "/etc/hostname", "/etc/hosts", "/etc/resolv.conf":
			continue
		}
		if c.Kind != 2 && provider.MachineOwn(c.Path) {
			names = append(names, c.Path)
		}
	}
	slices.Sort(names)
	var out []string
	for _, n := range names {
		if len(out) == 0 || !strings.HasPrefix(n, out[len(out)-1]+"/") {
			out = append(out, n)
		}
	}
	return out, nil
}

// ImageDigest returns the digest of the content that an image's name stands for at the engine.
func (p *Provider) ImageDigest(ctx context.Context, ref string, fetch bool) (string, error) {
	digest, err := p.imageDigest(ctx, cmp.Or(ref, p.o.Image), fetch)
	return digest, p.fault("ImageDigest", compute.ID(p.o.Source), err)
}

// imageDigest pulls an image that the engine lacks if fetch is set, else it returns ErrNotFound.
// An empty ref is ErrInvalid.
func (p *Provider) imageDigest(ctx context.Context, ref string, fetch bool) (string, error) {
	if ref == "" {
		return "", &compute.Error{
			Kind: compute.ErrInvalid, Err: errors.New("the source names no image"),
			Hint: "set image in its section [container]",
		}
	}
	var img imageInfo
	var err error
	if fetch {
		img, err = p.images.image(ctx, ref, false)
	} else if img, err = p.images.inspectImage(ctx, ref); status(err) == http.StatusNotFound {
		err = &compute.Error{Kind: compute.ErrNotFound, Err: fmt.Errorf("image %s is not at the engine", ref)}
	}
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(img.ID, "sha256:") {
		img.ID = "sha256:" + img.ID // podman's older versions lack the prefix
	}
	return img.ID, nil
}

// TagImage gives an image at the engine a further name.
func (p *Provider) TagImage(ctx context.Context, ref, as string) error {
	tag, err := p.tag(as)
	if err != nil {
		return p.fault("TagImage", compute.ID(p.o.Source), err)
	}
	if err := reference(ref); err != nil {
		return p.fault("TagImage", compute.ID(p.o.Source), err)
	}
	return p.fault(
		"TagImage", compute.ID(p.o.Source),
		p.eng.do(ctx, http.MethodPost, imagePath(ref)+"/tag", url.Values{"repo": {tag.Repository}, "tag": {tag.Identifier}}, nil, nil),
	)
}
