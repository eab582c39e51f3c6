//go:build !linux

package main

import "context"

func (s *slapos) stand(context.Context, *standing) error {
	return (&nodeCommand{slapos: s}).isNode()
}
