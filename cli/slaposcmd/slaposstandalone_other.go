//go:build !linux

package slaposcmd

import (
	"context"
)

func (s *Slapos) stand(context.Context, *standing) error {
	return (&NodeCommand{Slapos: s}).isNode()
}
