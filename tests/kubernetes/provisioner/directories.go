package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Where a node sees its own volumes and the shared ones.
const mount = "/var/lib/volumes"

// The node of a volume; absent on a shared one.
const nodeAnnotation = "casemate.test/node"

// Parameters of a storage class.
const (
	// "node": a directory of the node that the scheduler picked. "shared": one that every node sees.
	placeParameter = "place"
	// "local" follows a Pod's fsGroup, "hostPath" ignores it.
	sourceParameter = "source"
)

type directories struct{ disks string }

// Provision makes the directory as root's with mode 0755, as a new file system is.
func (d *directories) Provision(_ context.Context, options controller.ProvisionOptions) (
	*core.PersistentVolume, controller.ProvisioningState, error,
) {
	node, err := nodeOf(options)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	directory := d.path(node, options.PVName)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return volume(options, node), controller.ProvisioningFinished, nil
}

// Delete removes the directory; one that is gone is no error, because a deletion may be repeated.
func (d *directories) Delete(_ context.Context, volume *core.PersistentVolume) error {
	return os.RemoveAll(d.path(volume.Annotations[nodeAnnotation], volume.Name))
}

func (d *directories) path(node, volume string) string {
	if node == "" {
		return filepath.Join(d.disks, "shared", volume)
	}
	return filepath.Join(d.disks, node, "volumes", volume)
}

// nodeOf is "" for a shared volume.
func nodeOf(options controller.ProvisionOptions) (string, error) {
	switch place := options.StorageClass.Parameters[placeParameter]; place {
	case "shared":
		return "", nil
	case "node":
		if options.SelectedNodeName == "" {
			return "", errors.New("a volume of one node needs volumeBindingMode: WaitForFirstConsumer")
		}
		return options.SelectedNodeName, nil
	default:
		return "", fmt.Errorf("parameter %s is %q, not \"node\" or \"shared\"", placeParameter, place)
	}
}

func volume(options controller.ProvisionOptions, node string) *core.PersistentVolume {
	made := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity: core.ResourceList{
				core.ResourceStorage: options.PVC.Spec.Resources.Requests[core.ResourceStorage],
			},
			PersistentVolumeSource: source(options, node),
			NodeAffinity:           affinity(node),
		},
	}
	if node != "" {
		made.Annotations = map[string]string{nodeAnnotation: node}
	}
	return made
}

func source(options controller.ProvisionOptions, node string) core.PersistentVolumeSource {
	place := "shared"
	if node != "" {
		place = "node"
	}
	path := filepath.Join(mount, place, options.PVName)
	if options.StorageClass.Parameters[sourceParameter] == "hostPath" {
		existing := core.HostPathDirectory
		return core.PersistentVolumeSource{
			HostPath: &core.HostPathVolumeSource{Path: path, Type: &existing},
		}
	}
	return core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}}
}

// A local volume must have an affinity; that of a shared one holds for every node.
func affinity(node string) *core.VolumeNodeAffinity {
	requirement := core.NodeSelectorRequirement{Key: core.LabelHostname, Operator: core.NodeSelectorOpExists}
	if node != "" {
		requirement.Operator = core.NodeSelectorOpIn
		requirement.Values = []string{node}
	}
	return &core.VolumeNodeAffinity{Required: &core.NodeSelector{
		NodeSelectorTerms: []core.NodeSelectorTerm{{
			MatchExpressions: []core.NodeSelectorRequirement{requirement},
		}},
	}}
}
