//go:build !linux

package nodecmd

import (
	"context"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/slapos/node/service"
)

func stand(context.Context, *session.Session, *standaloneOptions) error {
	return service.CheckPlatform()
}
