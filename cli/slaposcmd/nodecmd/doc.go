// Package nodecmd has the commands of a SlapOS node.
package nodecmd
