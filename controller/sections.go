package controller

import (
	"maps"

	"github.com/hostler-project/hostler/controller/callers"
	"github.com/hostler-project/hostler/controller/imagecache"
	"github.com/hostler-project/hostler/controller/slapos"
)

// Sections returns the sections of hostler.conf that a controller reads, by name: pointers to
// structs that config decodes.
func Sections() map[string]any {
	out := map[string]any{
		"auth": new(callers.Settings), "controller": new(controllerSection),
		"apply": new(appliedConf), "resources": new(resourcing), "director": new(directorSection),
		"webhook w": new(hooking),
	}
	maps.Copy(out, imagecache.Sections())
	maps.Copy(out, slapos.Sections())
	return out
}
