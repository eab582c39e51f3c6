package controller

// Sections are the sections of hostler.conf that a controller reads, by their names: pointers to
// structs that config decodes.
func Sections() map[string]any {
	return map[string]any{
		"auth": new(struct {
			authorizing
			signingIn
		}),
		"apply": new(appliedConf), "resources": new(resourcing), "slap": new(slapping), "director": new(directing),
		"director.metal": new(metalDirecting), "director.metal.strategy": new(metalDeciding), "webhook w": new(hooking),
		"multimaster https://x": new(otherMaster),
	}
}
