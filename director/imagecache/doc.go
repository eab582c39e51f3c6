// Package imagecache keeps images cached on bare-metal nodes. Again and again it looks
// (metal.Scout), decides (metal.Strategy; package strategy has ours), and acts
// (metal.Commander).
package imagecache
