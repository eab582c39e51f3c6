// Package imagecmd has the commands about images and bundles.
package imagecmd
