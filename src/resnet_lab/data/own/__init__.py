"""Images of somebody's own, by the dotted path of what makes them: `data._target_`.

It is called with `data.args`, and gives either

- map-style data sets of (image, label) as ``{"train": …, "test": …}``, and "val" where there is one;
  with "train_as_test", the training images read without augmentation, images can be set aside. An image is a
  PIL image, a uint8 array (H, W) or (H, W, C), or a tensor (C, H, W) of uint8 or float; a label counts from 0. What a
  set draws from `random`, NumPy's or torch's global generator is a function of (seed, epoch, index);
- or a `LightningDataModule`, which is taken as it is.

Which targets may be named at all is asked before anything here is called (`resnet_lab.config.targets`).
"""
