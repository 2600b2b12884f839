//! Volumes of pods and of the cluster, claims, classes.

use super::Rule::{
    Both, EachOf, Exact, ExactWords, Form, Keys, Longest, NotEmpty, NotNegative, Range, Since, Words,
};
use super::{NOT_NEGATIVE, Table};
use crate::schema::format::Format::{
    AbsolutePath, ConfigKey, Driver, FilePath, HostPorts, Iqn, Label, NoBackstep, NoSlash, Provisioner,
    RelativePath, Signer, Subdomain,
};

const MODE: super::Rule = Range(0, 0o777);
const PARTITION: super::Rule = Range(0, 255);
const SECONDS_OF_TOKEN: super::Rule = Range(600, 1 << 32);

/// By type and field; the function of Kubernetes that asks for it stands above.
pub(super) const RULES: Table = &[
    // ValidateVolumes, validateVolumeSource, ValidateVolumeMounts
    ("core.v1.Volume", "name", Form(Label)),
    ("core.v1.VolumeMount", "subPath", Form(RelativePath)),
    ("core.v1.VolumeMount", "subPathExpr", Form(RelativePath)),
    ("core.v1.VolumeMount", "recursiveReadOnly", ExactWords(&["Disabled", "Enabled", "IfPossible"])),
    ("core.v1.VolumeMount", "bindMountOptions", EachOf(&["nodev", "noexec", "nosuid"])),
    // The server tells these from fields that are left out.
    ("core.v1.VolumeMount", "mountPropagation", NotEmpty),
    ("core.v1.PersistentVolumeClaimSpec", "volumeMode", NotEmpty),
    ("core.v1.PersistentVolumeSpec", "volumeMode", NotEmpty),
    ("core.v1.AzureDiskVolumeSource", "cachingMode", NotEmpty),
    ("core.v1.AzureDiskVolumeSource", "kind", NotEmpty),
    ("storage.v1.StorageClass", "volumeBindingMode", NotEmpty),
    ("core.v1.VolumeDevice", "devicePath", Form(NoBackstep)),
    ("core.v1.EmptyDirVolumeSource", "sizeLimit", NotNegative),
    ("core.v1.ConfigMapVolumeSource", "defaultMode", MODE),
    ("core.v1.SecretVolumeSource", "defaultMode", MODE),
    ("core.v1.ProjectedVolumeSource", "defaultMode", MODE),
    ("core.v1.DownwardAPIVolumeSource", "defaultMode", MODE),
    ("core.v1.DownwardAPIVolumeFile", "mode", MODE),
    ("core.v1.DownwardAPIVolumeFile", "path", Form(FilePath)),
    // validateKeyToPath, validateProjectionSources
    ("core.v1.KeyToPath", "mode", MODE),
    ("core.v1.KeyToPath", "path", Form(FilePath)),
    ("core.v1.ServiceAccountTokenProjection", "path", Since(31, &Form(FilePath))),
    ("core.v1.ServiceAccountTokenProjection", "expirationSeconds", SECONDS_OF_TOKEN),
    ("core.v1.ClusterTrustBundleProjection", "path", Form(FilePath)),
    ("core.v1.ClusterTrustBundleProjection", "signerName", Exact(Signer)),
    ("core.v1.PodCertificateProjection", "signerName", Form(Signer)),
    ("core.v1.PodCertificateProjection", "maxExpirationSeconds", Range(3600, 7_862_400)),
    (
        "core.v1.PodCertificateProjection",
        "keyType",
        Words(&["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"]),
    ),
    ("core.v1.PodCertificateProjection", "credentialBundlePath", Form(FilePath)),
    ("core.v1.PodCertificateProjection", "keyPath", Form(FilePath)),
    ("core.v1.PodCertificateProjection", "certificateChainPath", Form(FilePath)),
    // validateNFSVolumeSource, validateHostPathVolumeSource, validateLocalVolumeSource, validateGitRepoVolumeSource
    ("core.v1.NFSVolumeSource", "path", Form(AbsolutePath)),
    ("core.v1.HostPathVolumeSource", "path", Form(NoBackstep)),
    ("core.v1.LocalVolumeSource", "path", Form(NoBackstep)),
    ("core.v1.GitRepoVolumeSource", "directory", Form(RelativePath)),
    // validateISCSIVolumeSource, validateFCVolumeSource, validateAWSElasticBlockStoreVolumeSource and their like
    ("core.v1.ISCSIVolumeSource", "lun", PARTITION),
    ("core.v1.ISCSIVolumeSource", "iqn", Form(Iqn)),
    ("core.v1.ISCSIVolumeSource", "initiatorName", Exact(Iqn)),
    ("core.v1.ISCSIPersistentVolumeSource", "lun", PARTITION),
    ("core.v1.ISCSIPersistentVolumeSource", "iqn", Form(Iqn)),
    ("core.v1.ISCSIPersistentVolumeSource", "initiatorName", Exact(Iqn)),
    ("core.v1.FCVolumeSource", "lun", PARTITION),
    ("core.v1.AWSElasticBlockStoreVolumeSource", "partition", PARTITION),
    ("core.v1.GCEPersistentDiskVolumeSource", "partition", PARTITION),
    ("core.v1.QuobyteVolumeSource", "registry", Form(HostPorts)),
    ("core.v1.QuobyteVolumeSource", "tenant", Longest(64)),
    ("core.v1.FlockerVolumeSource", "datasetName", Form(NoSlash)),
    ("core.v1.GlusterfsPersistentVolumeSource", "endpointsNamespace", Exact(Label)),
    ("core.v1.StorageOSVolumeSource", "volumeName", Form(Label)),
    ("core.v1.StorageOSVolumeSource", "volumeNamespace", Form(Label)),
    ("core.v1.StorageOSPersistentVolumeSource", "volumeName", Form(Label)),
    ("core.v1.StorageOSPersistentVolumeSource", "volumeNamespace", Form(Label)),
    ("core.v1.AzureFilePersistentVolumeSource", "secretNamespace", NotEmpty),
    ("core.v1.CSIVolumeSource", "driver", Form(Driver)),
    ("core.v1.CSIPersistentVolumeSource", "driver", Form(Driver)),
    // ValidateConfigMap, ValidateSecret
    ("core.v1.ConfigMap", "data", Keys(ConfigKey)),
    ("core.v1.ConfigMap", "binaryData", Keys(ConfigKey)),
    ("core.v1.Secret", "data", Keys(ConfigKey)),
    ("core.v1.Secret", "stringData", Keys(ConfigKey)),
    // ValidatePersistentVolumeClaimSpec, ValidatePersistentVolumeSpec
    ("core.v1.PersistentVolumeClaimSpec", "storageClassName", Form(Subdomain)),
    ("core.v1.PersistentVolumeClaimSpec", "volumeAttributesClassName", Form(Subdomain)),
    (
        "core.v1.PersistentVolumeClaimSpec",
        "accessModes",
        EachOf(&["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]),
    ),
    ("core.v1.PersistentVolumeSpec", "storageClassName", Form(Subdomain)),
    (
        "core.v1.PersistentVolumeSpec",
        "accessModes",
        EachOf(&["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]),
    ),
    // ValidateStorageClass, validateCSIDriverSpec, ValidateCSIStorageCapacity, validateVolumeAttachmentSpec
    ("storage.v1.StorageClass", "provisioner", Form(Provisioner)),
    ("storage.v1.StorageClass", "reclaimPolicy", Words(&["Delete", "Retain"])),
    ("storage.v1.CSIDriverSpec", "fsGroupPolicy", ExactWords(&["File", "None", "ReadWriteOnceWithFSType"])),
    ("storage.v1.CSIDriverSpec", "volumeLifecycleModes", EachOf(&["Ephemeral", "Persistent"])),
    ("storage.v1.CSIDriverSpec", "nodeAllocatableUpdatePeriodSeconds", Range(10, i64::MAX)),
    ("storage.v1.TokenRequest", "expirationSeconds", SECONDS_OF_TOKEN),
    ("storage.v1.CSIStorageCapacity", "storageClassName", Form(Subdomain)),
    ("storage.v1.CSIStorageCapacity", "capacity", NotNegative),
    ("storage.v1.VolumeAttachmentSpec", "attacher", Form(Driver)),
    ("storage.v1.VolumeAttachmentSpec", "nodeName", Form(Subdomain)),
    ("storage.v1.VolumeAttachmentSource", "persistentVolumeName", Exact(Subdomain)),
    ("storage.v1.VolumeAttributesClass", "driverName", Form(Provisioner)),
    ("storage.v1.CSINodeDriver", "name", Form(Driver)),
    ("storage.v1.CSINodeDriver", "nodeID", Both(&NotEmpty, &Longest(256))),
    ("storage.v1.VolumeNodeResources", "count", NOT_NEGATIVE),
];
