//go:build !linux

package container

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/provider/egress"
)

var errElsewhere = unwalled{errors.New("the engine runs in a virtual machine")}

func (*walls) walled(context.Context, egress.Policy) (string, error) { return "", errElsewhere }

func (*walls) raiseWall(context.Context, string, egress.Policy) error { return errElsewhere }

func (*walls) apart(context.Context, string) error { return errElsewhere }

// unwalled returns why containers have no wall here.
func (e *engine) unwalled(context.Context) error { return errElsewhere }
