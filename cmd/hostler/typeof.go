package main

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

// TypeOf is the type of an instance's source, which may be configured no more.
func (h *Host) TypeOf(ctx context.Context, engine statuses, i compute.Instance) (string, error) {
	cfg, err := h.Configuration()
	if err != nil {
		return "", err
	}
	if s, err := cfg.Source(i.Source); err == nil {
		return s.Type, nil
	}
	all, err := engine.Status(ctx)
	for _, s := range all {
		if s.Name == i.Source {
			return s.Type, nil
		}
	}
	return "", err
}

type statuses interface {
	Status(ctx context.Context) ([]compute.SourceStatus, error)
}
