"""kscout's segmenters in PyTorch, for comparing times: written from the papers and from kscout's own, weights random.

U-Net: Ronneberger et al., MICCAI 2015, with padded convolutions and batch norm. UNeXt: Valanarasu and Patel, MICCAI 2022."""

import torch
import torch.nn.functional as F
from torch import nn


def make(network: str, width: int, classes: int) -> nn.Module:
    if network in ("unet", "unet-bilinear"):
        return UNet(classes, width or 64, network == "unet-bilinear")
    first = width or {"unext": 16, "unext-s": 8}[network]
    stages = {"unext": (1, 2, 8, 10, 16), "unext-s": (1, 2, 4, 8, 16)}[network]
    return UNext(classes, [first * stage for stage in stages])


def loss(logits, labels):
    """Cross-entropy plus one minus the soft Dice of the classes 1 and up, over the batch."""
    p = logits.softmax(1)[:, 1:]
    t = F.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2)[:, 1:].to(p.dtype)
    both, total = (p * t).sum((0, 2, 3)), p.sum((0, 2, 3)) + t.sum((0, 2, 3))
    return F.cross_entropy(logits, labels) + 1 - ((2 * both + 1) / (total + 1)).mean()


def conv3(inputs, outputs, **more):
    return nn.Conv2d(inputs, outputs, 3, padding=1, **more)


class Twice(nn.Sequential):
    """Two times convolution, batch norm, ReLU."""

    def __init__(self, inputs, between, outputs):
        steps = [(inputs, between), (between, outputs)]
        layers = [(conv3(a, b, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)) for a, b in steps]
        super().__init__(*(layer for step in layers for layer in step))


class UNet(nn.Module):
    def __init__(self, classes, width, bilinear):
        super().__init__()
        w = [width * 2**i for i in range(4)]
        halved = 2 if bilinear else 1
        widths = [*w, 2 * w[3] // halved]
        self.down = nn.ModuleList(Twice(a, b, b) for a, b in zip([1, *widths], widths))
        self.doubling, self.up = nn.ModuleList(), nn.ModuleList()
        for i in reversed(range(4)):
            inputs = 2 * w[i]
            outputs = w[i] // (halved if i else 1)
            if bilinear:
                self.doubling.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))
                self.up.append(Twice(inputs, inputs // 2, outputs))
            else:
                self.doubling.append(nn.ConvTranspose2d(inputs, w[i], 2, stride=2))
                self.up.append(Twice(inputs, outputs, outputs))
        self.head = nn.Conv2d(w[0], classes, 1)

    def forward(self, x):
        skips = []
        for i, down in enumerate(self.down):
            x = down(x if i == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for double, up, skip in zip(self.doubling, self.up, reversed(skips[:-1])):
            x = up(torch.cat([skip, double(x)], 1))
        return self.head(x)


class Shifted(nn.Module):
    """The shifted MLP with its residual, on tokens `[B, H W, C]`."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.depthwise = conv3(width, width, groups=width)

    def forward(self, x, size):
        y = self.first(shift(self.norm(x), size, 2))
        y = F.gelu(tokens(self.depthwise(image(y, size))))
        return x + self.second(shift(y, size, 3))


def tokens(x):
    return x.flatten(2).transpose(1, 2)


def image(x, size):
    return x.transpose(1, 2).reshape(x.shape[0], -1, *size)


def shift(x, size, dim):
    """Five channel groups moved by -2 to 2 pixels along `dim` of the image, zeros entering."""
    x = F.pad(image(x, size), (2, 2, 2, 2))
    groups = [torch.roll(group, by, dim) for group, by in zip(x.chunk(5, 1), range(-2, 3))]
    return tokens(torch.cat(groups, 1)[:, :, 2:-2, 2:-2])


class UNext(nn.Module):
    def __init__(self, classes, widths):
        super().__init__()
        a, b, c, d, e = widths
        self.encoder = nn.ModuleList(conv3(i, o) for i, o in [(1, a), (a, b), (b, c)])
        self.encoder_norm = nn.ModuleList(nn.BatchNorm2d(o) for o in (a, b, c))
        self.embed = nn.ModuleList(conv3(i, o, stride=2) for i, o in [(c, d), (d, e)])
        self.embed_norm = nn.ModuleList(nn.LayerNorm(o) for o in (d, e))
        self.block = nn.ModuleList(Shifted(o) for o in (d, e, d, c))
        self.block_norm = nn.ModuleList(nn.LayerNorm(o) for o in (d, e, d, c))
        self.decoder = nn.ModuleList(conv3(i, o) for i, o in [(e, d), (d, c), (c, b), (b, a), (a, a)])
        self.decoder_norm = nn.ModuleList(nn.BatchNorm2d(o) for o in (d, c, b, a))
        self.head = nn.Conv2d(a, classes, 1)

    def forward(self, x):
        skips = []
        for conv, norm in zip(self.encoder, self.encoder_norm):
            x = F.relu(F.max_pool2d(norm(conv(x)), 2))
            skips.append(x)
        for i, (embed, norm) in enumerate(zip(self.embed, self.embed_norm)):
            x = embed(x)
            size = x.shape[2:]
            x = self.mixed(i, norm(tokens(x)), size)
            skips.append(x)
        skips.pop()
        for i, (conv, norm) in enumerate(zip(self.decoder, self.decoder_norm)):
            x = F.relu(self.doubled(norm(conv(x)))) + skips.pop()
            if i < 2:
                x = self.mixed(2 + i, tokens(x), x.shape[2:])
        return self.head(F.relu(self.doubled(self.decoder[4](x))))

    def mixed(self, i, x, size):
        return image(self.block_norm[i](self.block[i](x, size)), size)

    @staticmethod
    def doubled(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
