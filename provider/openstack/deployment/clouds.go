package deployment

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/attributestags"
	"github.com/gophercloud/gophercloud/v2/pagination"

	"github.com/hostler-project/hostler/provider/openstack"
)

// Open returns a session's clients. name is the cloud's in clouds.yaml, for messages. "": none.
func Open(ctx context.Context, s *openstack.Session, name string) (c Cloud, err error) {
	c.Name, c.Region = name, s.Region()
	if c.Compute, err = s.Compute(ctx); err != nil {
		return c, err
	}
	if c.Network, err = s.Network(ctx); err != nil {
		return c, err
	}
	if c.Volume, err = s.Volumes(ctx); errors.Is(err, openstack.ErrNoService) {
		c.Volume, err = nil, nil
	}
	if err == nil {
		c.Project, _, err = s.Project(ctx)
	}
	return c, err
}

// label puts the tags on a new thing. Where the cloud has no tags, the description has the mark.
func (w *work) label(ctx context.Context, p part, id string) error {
	if p.plural == "" {
		return nil
	}
	_, err := attributestags.ReplaceAll(ctx, w.cloud.Network, p.plural, id, attributestags.ReplaceAllOpts{Tags: w.mark.tags()}).Extract()
	if err != nil && !isGone(err) {
		return failed("tag "+p.kind, p.name, err)
	}
	return nil
}

// missing lists the tags that a thing lacks.
func (w *work) missing(has []string) []string {
	return slices.DeleteFunc(w.mark.tags(), func(t string) bool { return slices.Contains(has, t) })
}

// relabel adds the tags that a thing has lost.
func (w *work) relabel(ctx context.Context, p part, id string, has []string) error {
	for _, tag := range w.missing(has) {
		if err := attributestags.Add(ctx, w.cloud.Network, p.plural, id, tag).ExtractErr(); err != nil && !isGone(err) {
			return failed("tag "+p.kind, p.name, err)
		}
	}
	return nil
}

// isGone reports whether an error says that a thing does not exist.
func isGone(err error) bool { return gophercloud.ResponseCodeIs(err, http.StatusNotFound) }

// isConflict reports whether an error says that a thing cannot be made or changed now.
func isConflict(err error) bool { return gophercloud.ResponseCodeIs(err, http.StatusConflict) }

// list reads all pages of a list.
func list[T any](ctx context.Context, pager pagination.Pager, extract func(pagination.Page) ([]T, error)) ([]T, error) {
	pages, err := pager.AllPages(ctx)
	if isGone(err) { // the service is missing, not an entry
		return nil, openstack.ClassifyList("List", "", err)
	}
	if err != nil {
		return nil, err
	}
	return extract(pages)
}

// again repeats f while the cloud says that it is not ready, as long as the patience lasts.
func (w *work) again(ctx context.Context, f func() error) error {
	const pause = time.Second
	for end := time.Now().Add(w.opt.Patience); ; {
		err := f()
		if err == nil || !isConflict(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}
