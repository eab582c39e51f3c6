package container

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Clean puts a new container in a used one's place. It makes the new one first, under a name of its
// own, so that the record of how to make it is never lost.
func (p *Provider) Clean(ctx context.Context, id compute.ID) (string, error) {
	said, err := p.renew(ctx, id)
	return said, p.fault("Clean", id, err)
}

// renew does the work of Clean. It also finishes a Clean that was interrupted before.
func (p *Provider) renew(ctx context.Context, id compute.ID) (string, error) {
	name := p.name(id)
	old, err := p.look(ctx, id, name)
	if err != nil && !errors.Is(err, errNone) {
		return "", err
	}
	next, nextErr := p.look(ctx, id, name+fresh)
	if nextErr != nil && !errors.Is(nextErr, errNone) {
		return "", nextErr
	}
	if old == nil && next == nil {
		return "", errNone
	}
	said := "the old container is gone"
	var s shape
	if old != nil {
		if next != nil { // left by an interrupted Clean: its state is unknown
			if err := p.vanish(ctx, id, name+fresh, next.ID); err != nil {
				return "", err
			}
		}
		s = shapeOf(old.Config.Labels)
		s.again = true
		if next, err = p.maker.prepare(ctx, id, name+fresh, &s); err != nil {
			return "", err
		}
		if err := p.at("remove " + name); err != nil {
			return "", err
		}
		if err := p.vanish(ctx, id, name, old.ID); err != nil {
			return "", err
		}
		said = "container " + short(old.ID) + " killed and removed with its layer and anonymous volumes, and looked for in vain"
	} else {
		s = shapeOf(next.Config.Labels)
	}
	if err := p.at("rename " + name); err != nil {
		return "", err
	}
	if err := p.eng.do(ctx, http.MethodPost, "/containers/"+next.ID+"/rename", url.Values{"name": {name}}, nil, nil); err != nil {
		return "", err
	}
	c, err := p.maker.raise(ctx, id, s)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; a new one, %s, of image %s (%s)", said, short(c.ID), s.Image, short(c.Image)), nil
}

// vanish removes a container and waits until the engine has none of that id.
func (p *Provider) vanish(ctx context.Context, id compute.ID, name, container string) error {
	if err := p.remove(ctx, container); err != nil {
		return err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		c, err := p.look(ctx, id, name)
		switch {
		case errors.Is(err, errNone), err == nil && c.ID != container:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// short abbreviates an id as the engines' own tools do.
func short(id string) string {
	if i := len("sha256:"); len(id) > i && id[:i] == "sha256:" {
		id = id[i:]
	}
	return id[:min(12, len(id))]
}
