// Package metalcmd has the commands of the directors: warm capacity and images on bare metal.
package metalcmd
