// Command provisioner makes and removes the volumes of the cluster lab: directories on the disk of a node, or in a
// directory that all nodes share. It runs beside the control plane, where it sees the disks of all nodes.
//
//	provisioner KUBECONFIG DISKS
//
// DISKS/NODE/volumes is where NODE sees /var/lib/volumes/node, and DISKS/shared is its /var/lib/volumes/shared.
//
// A directory has no size of its own: nothing holds a volume to what its claim asked for.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const name = "casemate.test/directory"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: provisioner KUBECONFIG DISKS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "provisioner:", err)
		os.Exit(1)
	}
}

func run(kubeconfig, disks string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	// The default of 5 requests a second is one volume a second.
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	controller.NewProvisionController(ctx, client, name, &directories{disks: disks},
		controller.LeaderElection(false)).Run(ctx)
	return nil
}
