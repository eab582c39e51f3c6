package imagecmd

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"bundle":       bundleView{},
	"applied":      appliedView{},
	"step":         stepView{},
	"image":        imageView{},
	"image-config": imageConfigView{},
	"image-layer":  imageLayerView{},
	"collected":    collectedView{},
	"exported":     exportedView{},
	"built":        builtView{},
	"promoted":     promotedView{},
}
