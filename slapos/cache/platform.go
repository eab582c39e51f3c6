package cache

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// A Platform is what a release was built for, or a machine on which it is to run.
type Platform struct {
	Multiarch string // as gcc -dumpmachine says
	OS        OS
}

// multiarchs are by Go's names of architectures, for machines without gcc.
var multiarchs = map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu", "386": "i686-linux-gnu",
	"arm":     "arm-linux-gnueabihf",
	"riscv64": "riscv64-linux-gnu", "ppc64le": "powerpc64le-linux-gnu", "s390x": "s390x-linux-gnu"}

// This is the platform of this machine.
func This(ctx context.Context) (Platform, error) {
	p := Platform{Multiarch: multiarchs[runtime.GOARCH]}
	if out, err := exec.CommandContext(ctx, "gcc", "-dumpmachine").Output(); err == nil && len(out) > 0 {
		p.Multiarch = strings.TrimSpace(string(out))
	} else if ctx.Err() != nil {
		return p, context.Cause(ctx)
	}
	text, err := os.ReadFile("/etc/os-release")
	if os.IsNotExist(err) {
		text, err = os.ReadFile("/usr/lib/os-release")
	}
	if err != nil {
		return p, fmt.Errorf("which system this is: %w", err)
	}
	p.OS = parseOS(string(text))
	return p, nil
}

// parseOS reads the file os-release.
func parseOS(text string) (o OS) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		switch name {
		case "ID":
			o.ID = value
		case "VERSION_ID":
			o.Version = value
		case "VERSION_CODENAME":
			o.Codename = value
		}
	}
	return o
}

// Runs says whether what an entry names runs on the platform.
func (p Platform) Runs(e *Entry) bool {
	if e.Multiarch == "" {
		machine, _, _ := strings.Cut(p.Multiarch, "-")
		return e.Machine != "" && e.Machine == machine && e.OS.plain() == p.OS.plain()
	}
	return e.Multiarch == p.Multiarch && e.OS.plain() == p.OS.plain()
}

// plain is what counts of a system: releases of Debian within one major version are the same.
func (o OS) plain() OS {
	o.ID = strings.ToLower(o.ID)
	if o.ID == "raspbian" {
		o.ID = "debian"
	}
	if o.ID == "debian" {
		o.Version, _, _ = strings.Cut(o.Version, ".")
		o.Codename = ""
	}
	return o
}
