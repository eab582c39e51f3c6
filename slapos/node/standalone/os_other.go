//go:build !linux

package standalone

import (
	"context"
	"errors"
	"syscall"

	"github.com/hostler-project/hostler/compute"
)

func supported() error {
	return &compute.Error{Op: "standalone", Kind: compute.ErrUnavailable, Err: errors.New("nodes of SlapOS are machines with Linux")}
}

func endWithParent(*syscall.SysProcAttr) {}

func lockDirectory(string) (func(), error) { return nil, supported() }

func endPartition(context.Context, string, string) error { return supported() }
