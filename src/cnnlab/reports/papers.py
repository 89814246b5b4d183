BLOCKS = {
    "vgg": (("third block of VGG-16", "vgg16_bn", "features[14:24]"),),
    "mobilenet": (("v2: inverted residual", "mobilenet_v2", "features.3"), ("v1: depthwise separable convolution", "mobilenet_v1", "features.2")),
    "resnet": (("basic block", "resnet18", "features.conv2_x.0"), ("with projection shortcut", "resnet18", "features.conv3_x.0"), ("bottleneck", "resnet50", "features.conv2_x.1")),
    "shufflenet": (("v2: unit", "shufflenet_v2_x1_0", "features.stage2.1"), ("v2: down", "shufflenet_v2_x1_0", "features.stage2.0"), ("v1: unit", "shufflenet_v1_g3", "features.stage2.1"), ("v1 down", "shufflenet_v1_g3", "features.stage3.0")),
    "googlenet": (("Inception module 3a", "googlenet", "features.inception3a"),),
    "inception_v3": (("17", "inception_v3", "features.Mixed_6b"), ("c", "inception_v3", "features.Mixed_7b"), ("red", "inception_v3", "features.Mixed_6a")),
    "inception_v4": (("a", "inception_v4", "features.inception_a1"), ("b", "inception_v4", "features.inception_b1"),("c", "inception_v4", "features.inception_c1")),
    "xception": (("mid", "xception", "features.middle1"),("entry", "xception", "features.entry2")),
    "resnext": (("", "resnext29_8x64d", "features.conv2_x.1"),),
    "densenet": (("", "densenet_bc_100_12", "features.denseblock1[0:2]"),),
    "efficientnet": (("MB", "efficientnet_b0", "features.stage2.1"),),
}
